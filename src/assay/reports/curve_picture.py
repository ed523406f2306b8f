"""One or more curves as a picture; the same figures give the same svg, byte for byte."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from assay.reports.byte_picture import INK, check

COLOURS = ("#1f77b4", "#b0b0b0", "#d62728", "#2ca02c")


class Curve(NamedTuple):
    """Points and what they are."""

    label: str
    points: Sequence[tuple[float, float]]


class Mark(NamedTuple):
    """A place on the horizontal axis that is pointed out."""

    label: str
    at: float


class Scene(NamedTuple):
    """What stands around the curves."""

    title: str
    across: str
    up: str
    logarithmic: bool = False
    low: float | None = None  # end of the vertical axis; None: as the curves need
    high: float | None = None


def draw(curves: Sequence[Curve], scene: Scene, path: Path, marks: Sequence[Mark] = ()) -> None:
    """Write the picture. Raises UserError where that cannot be."""
    check(path, "--output")
    import matplotlib as mpl  # noqa: PLC0415 (optional and slow to import)
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"svg.hashsalt": "assay", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axes = figure.subplots()
        for curve, colour in zip(curves, COLOURS, strict=False):
            axes.plot(*zip(*curve.points, strict=True), color=colour, linewidth=1.8, label=curve.label)
        for mark, colour in zip(marks, COLOURS[2:], strict=False):
            axes.axvline(mark.at, color=colour, linewidth=1.2, linestyle="--", label=mark.label)
        if scene.logarithmic:
            axes.set_xscale("log")
        axes.set_ylim(bottom=scene.low, top=scene.high)
        axes.set_title(scene.title, loc="left", color=INK, fontsize=11)
        axes.set_xlabel(scene.across, color=INK)
        axes.set_ylabel(scene.up, color=INK)
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower left", frameon=False, fontsize=8.5, ncols=2)
        dated: dict[str, Any] = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
        figure.savefig(path, dpi=150, bbox_inches="tight", metadata=dated)
