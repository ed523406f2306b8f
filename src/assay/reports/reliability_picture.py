"""How well a model's probabilities are calibrated, as a picture: accuracy over confidence, and how the targets are spread over it."""

from pathlib import Path
from typing import Any

from assay.reports.byte_picture import INK, check

BAR, GAP = "#1b4965", "#c1440e"


def draw(stored: dict[str, Any], title: str, path: Path) -> None:
    """Write the picture of a stored score. The same figures give the same svg, byte for byte."""
    check(path)
    import matplotlib as mpl  # noqa: PLC0415 (optional and slow to import)
    from matplotlib.figure import Figure  # noqa: PLC0415

    table = stored["reliability"]
    middles = [(row["from"] + row["to"]) / 2 for row in table]
    width = 0.9 * (table[0]["to"] - table[0]["from"])
    total = sum(row["tokens"] for row in table)
    with mpl.rc_context({"svg.hashsalt": "assay", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(6, 6.5), layout="constrained")
        upper, lower = figure.subplots(2, height_ratios=(3, 1), sharex=True)
        upper.bar(middles, [row["accuracy"] for row in table], width, color=BAR, label="how often it is right")
        upper.plot(
            [row["confidence"] for row in table], [row["confidence"] for row in table], ".", color=GAP, label="how likely it is held"
        )
        upper.plot((0, 1), (0, 1), color=INK, linewidth=0.8)
        upper.set_ylabel("likeliest token: share right", color=INK)
        upper.set_ylim(0, 1)
        upper.legend(frameon=False, loc="upper left", fontsize=9)
        error = 100 * stored["calibration_error"]
        upper.set_title(f"expected calibration error {error:.2f} %", loc="left", color=INK, fontsize=11)
        lower.bar(middles, [row["tokens"] / total for row in table], width, color=BAR)
        lower.set_ylabel("share of tokens", color=INK)
        lower.set_xlabel(f"probability of the likeliest token\n{title}", color=INK, fontsize=8, wrap=True)
        lower.set_xlim(0, 1)
        for axes in (upper, lower):
            axes.spines[["top", "right"]].set_visible(False)
        dated: dict[str, Any] = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
        figure.savefig(path, dpi=150, metadata=dated)
