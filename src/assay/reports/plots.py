"""Draw plots into files of their own: curves, and how well a model is calibrated. The same figures give the same svg, byte for byte."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from assay.core.files import find_write_problem
from assay.core.install import write_assay_line
from assay.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
INK = "#333333"
COLOURS = ("#1f77b4", "#b0b0b0", "#d62728", "#2ca02c")
BAR, GAP = "#1b4965", "#c1440e"  # of the reliability plot


def check_plot_path(path: Path | None, option: str = "--picture") -> None:
    """Raise UserError for a file name of which no plot can be made, and where matplotlib is missing; without a name for nothing."""
    problem = None if path is None else find_plot_problem(path)
    if problem is not None:
        raise UserError(f"{option}: {problem}")


def find_plot_problem(path: Path) -> str | None:
    """Say why no plot can be made in this file; None where it can."""
    if path.suffix.lower() not in FORMATS:
        return f"'{path}' is neither .svg nor .png; write {path.stem}.svg"
    try:
        import matplotlib  # noqa: F401, PLC0415 (optional and slow to import)
    except ImportError:
        return f"pictures need matplotlib; run: {write_assay_line('plots')}"
    return find_write_problem(path)


@contextmanager
def save_figure(path: Path, size: tuple[float, float], option: str = "--picture", **options: Any) -> "Iterator[Figure]":
    """Yield a figure of `size` inches and write it afterwards, without dates. Raises UserError where that cannot be."""
    check_plot_path(path, option)
    import matplotlib as mpl  # noqa: PLC0415 (optional and slow to import)
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"svg.hashsalt": "assay", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
        undated: dict[str, Any] = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
        figure.savefig(path, dpi=150, metadata=undated, **options)


Points = Sequence[tuple[float, float]]


class PlotSettings(NamedTuple):
    """The title and axes of a plot of curves."""

    title: str
    x_label: str
    y_label: str
    log_x: bool = False
    y_min: float | None = None  # end of the vertical axis; None: as the curves need
    y_max: float | None = None


def draw_curves(
    curves: Mapping[str, Points], settings: PlotSettings, path: Path, vertical_lines: Mapping[str, float] | None = None
) -> None:
    """Draw curves, and vertical lines at an x, by their labels into a file. Raises UserError where that cannot be."""
    with save_figure(path, (7, 3.6), "--output", bbox_inches="tight") as figure:
        axes = figure.subplots()
        for (label, points), colour in zip(curves.items(), COLOURS, strict=False):
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.8, label=label)
        for (label, x), colour in zip((vertical_lines or {}).items(), COLOURS[2:], strict=False):
            axes.axvline(x, color=colour, linewidth=1.2, linestyle="--", label=label)
        if settings.log_x:
            axes.set_xscale("log")
        axes.set_ylim(bottom=settings.y_min, top=settings.y_max)
        axes.set_title(settings.title, loc="left", color=INK, fontsize=11)
        axes.set_xlabel(settings.x_label, color=INK)
        axes.set_ylabel(settings.y_label, color=INK)
        axes.grid(visible=True, alpha=0.25)
        figure.legend(loc="outside lower left", frameon=False, fontsize=8.5, ncols=2)


def draw_reliability(stored: dict[str, Any], title: str, path: Path) -> None:
    """Draw how well the model of a stored score is calibrated: accuracy over confidence, and how the targets are spread over it."""
    table = stored["reliability"]
    middles, confidence = [(row["from"] + row["to"]) / 2 for row in table], [row["confidence"] for row in table]
    width = 0.9 * (table[0]["to"] - table[0]["from"])
    total = sum(row["tokens"] for row in table)
    with save_figure(path, (6, 6.5)) as figure:
        upper, lower = figure.subplots(2, height_ratios=(3, 1), sharex=True)
        upper.bar(middles, [row["accuracy"] for row in table], width, color=BAR, label="how often it is right")
        upper.plot(confidence, confidence, ".", color=GAP, label="how likely it is held")
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
