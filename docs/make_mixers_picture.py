"""`python docs/make_mixers_picture.py FILE`: the cost curve of the mixers from what `assay bench mixers --json` has written to FILE."""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

SHOWN = {
    "full": "#444444",
    "local": "#1f77b4",
    "block_local": "#17becf",
    "sparse": "#d62728",
    "sparsek": "#9467bd",
    "linear": "#2ca02c",
    "xl": "#ff7f0e",
}
GAP = 42  # microseconds between names
PICTURE = Path(__file__).parent / "pictures" / "mixers.svg"


def main(file: str) -> None:
    """Microseconds a token against the length of the context."""
    rows = json.loads(Path(file).read_text(encoding="utf-8"))["mixers"]
    plt.rcParams["svg.hashsalt"] = "mixers"  # the same picture from the same figures
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    ends = {}
    for kind, colour in SHOWN.items():
        points = sorted((row["context"], 1e6 / row["tokens_per_second"]) for row in rows if row["mixer"] == kind)
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", color=colour, linewidth=2 if kind in ("full", "sparse") else 1.2)
            ends[kind] = points[-1]
    last = -GAP
    for kind, (context, height) in sorted(ends.items(), key=lambda end: end[1][1]):
        last = max(height, last + GAP)  # names do not cover each other
        axes.annotate(kind, (context, last), xytext=(8, 0), textcoords="offset points", va="center", color=SHOWN[kind], fontsize=9)
    contexts = sorted({row["context"] for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xticks(contexts, [f"{context:,}" for context in contexts])
    axes.set_xlim(contexts[0] * 0.9, contexts[-1] * 1.6)
    axes.set_xlabel("context, tokens")
    axes.set_ylabel("training, microseconds a token")
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1])
