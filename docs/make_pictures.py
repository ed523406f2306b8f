"""`python docs/make_pictures.py RUN`: the learning curve of a run, in bits per byte, beside what cheaper methods reach.

Writes docs/pictures/bible.png and bible.svg. The same run gives the same svg, byte for byte. Needs matplotlib.
A run that was trained before runs kept their baselines gets them by `assay score RUN`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from assay.runs.directory import RunDirectory
from assay.trainer.baselines import read_baselines

PICTURES = Path(__file__).parent / "pictures"
NANOGPT = {"nanoGPT's model, as much time": 1.26852}  # bits per byte, of benchmarks/nanogpt.py; "what good looks like" in README.md
HIGHEST = 2.3  # above it lie the first steps, which say nothing
INK, GREY, RED = "#1b4965", "#6b6b6b", "#c1440e"


def validations(run: Path) -> list[tuple[int, float]]:
    """(step, bits per byte) of every validation in metrics.jsonl."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["step"], line["validation"]["bits_per_byte"]) for line in lines if "validation" in line]


def score(run: Path, name: str) -> float:
    """The bits per byte of a score that the end of a run stored."""
    stored: dict[str, Any] = json.loads((run / "scores" / f"end-{name}.json").read_text(encoding="utf-8"))
    return float(stored["bits_per_byte"])


def baselines(run: Path) -> dict[str, float]:
    """Bits per byte that other means reach on the validation text of a run."""
    baselines = read_baselines([RunDirectory(run)])
    assert baselines is not None, f"{run}: keeps no baselines; run `assay score {run}`"
    labelled = baselines.by_label()
    return {**{name: labelled[name] for name in [*labelled][-2:]}, **NANOGPT}


def draw(axes: Axes, run: Path) -> None:
    """The curve, its end, the training text without dropout, and the baselines."""
    lines = baselines(run)
    curve = validations(run)
    steps, bits = zip(*curve, strict=True)
    end, best, training = steps[-1], score(run, "best"), score(run, "training")
    for name, value in lines.items():
        axes.axhline(value, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(f"{name}: {value:.3f}", (end, value), (0, 3), textcoords="offset points", ha="right", color=GREY, fontsize=8)
    axes.plot(steps, bits, color=INK, marker="o", markersize=3.5, linewidth=1.6)
    axes.annotate(f"validation: {best:.3f}", (end, best), (8, 4), textcoords="offset points", color=INK, fontsize=9, va="bottom")
    axes.plot([end], [training], color=RED, marker="D", markersize=5, linestyle="none")
    below = f"training text,\nwithout dropout: {training:.3f}"
    axes.annotate(below, (end, training), (8, -4), textcoords="offset points", color=RED, fontsize=9, va="top")
    shown = [value for value in bits if value <= HIGHEST]
    low = min(*bits, training, *lines.values())
    axes.set_ylim(low - 0.08, max([*shown, max(lines.values())]) + 0.08)
    axes.set_xlim(0, end * 1.02)
    axes.set_xlabel("training steps")
    axes.set_ylabel("bits per byte (lower is better)")
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Draw the run that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the directory of a finished run of `assay train bible`")
    parser.add_argument("--into", type=Path, default=PICTURES, help="the folder of the pictures")
    given = parser.parse_args()
    mpl.rcParams["svg.hashsalt"] = "assay"
    figure, axes = plt.subplots(figsize=(7.2, 3.8))
    draw(axes, given.run)
    given.into.mkdir(parents=True, exist_ok=True)
    figure.savefig(given.into / "bible.png", dpi=150, bbox_inches="tight", metadata={"Software": None})
    figure.savefig(given.into / "bible.svg", bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
