"""Draw the charts of a report from plain values: curves, differences with intervals, quality against cost."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from assay.reports.axes import AxisSettings, set_axes, set_plain_ticks
from assay.reports.svg import DASHES, FAINT, INK, MARKERS, PAPER, SERIES, AltText, chart_style, render_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.6, 2.5  # inches of the axes
POINTS = 72  # in an inch
ROW_HEIGHT = 0.36  # inches, of the differences
LABEL_SPACING = 10.5  # points between two numbers at the ends of curves
MAX_NAME = 58  # characters of a name above its interval


class LegendEntry(NamedTuple):
    """How an arm is drawn in the charts."""

    number: int  # of the arm in the table
    name: str
    style: int | None  # place in the palette; None: in grey in the background
    point: bool = False  # drawn as a point, not as a line

    @property
    def colour(self) -> str:
        """The CSS variable of the arm's colour."""
        return "--faint" if self.style is None else f"--series-{self.style % len(SERIES) + 1}"

    @property
    def dashes(self) -> str:
        """The SVG dash array of the arm's line; empty: drawn through."""
        return "" if self.style is None else " ".join(f"{dash:g}" for dash in DASHES[self.style % len(DASHES)])


class Line(NamedTuple):
    """A curve of one arm."""

    key: LegendEntry
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()  # x, low, high over seeds


class DifferenceBar(NamedTuple):
    """An arm's difference from the base with its 95 % interval; negative is better."""

    key: LegendEntry
    difference: float
    low: float
    high: float
    resolved: bool
    tooltip: str


class Dot(NamedTuple):
    """An arm in the plane of cost and quality."""

    key: LegendEntry
    x: float
    y: float
    spread: float  # standard deviation over seeds
    on_front: bool  # whether no other arm is better at no more cost
    tooltip: str
    x_spread: float = 0.0  # of a cost that is measured


def plot_curves(
    name: str, lines: Sequence[Line], x_axis: AxisSettings, y_axis: AxisSettings, alt_text: AltText, *, markers: bool = False
) -> str:
    """Plot curves of several arms, numbered at their ends; `markers`: with a marker at every point."""
    with chart_style():
        figure, axes = _make_figure(HEIGHT)
        tooltips = {}
        for place, line in enumerate(sorted(lines, key=lambda line: (line.key.style is not None, -line.key.number))):
            colour, dashes, marker = _choose_style(line.key.style)
            if line.band:
                x, low, high = zip(*line.band, strict=True)
                axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
            x, y = zip(*line.points, strict=True)
            shape = marker if markers or len(line.points) == 1 else ""
            width = 0.8 if line.key.style is None else 1.8
            drawn = axes.plot(x, y, color=colour, linewidth=width, marker=shape, markersize=4.5, label=line.key.name, gid=f"tip{place}")[0]
            drawn.set_dashes(dashes) if dashes else None
            tooltips[f"tip{place}"] = f"{line.key.number} {line.key.name}"
        set_axes(axes, x_axis, y_axis)
        _number_ends(axes, [line for line in lines if line.key.style is not None])
        return render_svg(figure, name, alt_text, tooltips)


def plot_differences(name: str, rows: Sequence[DifferenceBar], unit: str, alt_text: AltText) -> str:
    """Plot each arm's difference from the base: a point with its interval, the arm's name above it. A filled point is resolved."""
    with chart_style():
        from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 (optional and slow to import)

        figure, axes = _make_figure(ROW_HEIGHT * len(rows) + 0.1, WIDTH + 0.5)
        tooltips = {}
        left, right = _choose_range(rows)
        axes.axvline(0, color=INK, linewidth=1)
        for place, row in enumerate(rows):
            colour = SERIES[1] if row.difference < 0 else SERIES[2]
            ends = max(row.low, left), min(row.high, right)
            axes.plot(ends, (place, place), color=colour, linewidth=2.2, solid_capstyle="butt")
            for end, beyond, arrow in ((left, row.low < left, "<"), (right, row.high > right, ">")):
                axes.plot([end] * beyond, [place] * beyond, marker=arrow, markersize=7, color=colour, linestyle="")
            face = colour if row.resolved else PAPER
            gid = f"tip{place}"
            axes.plot([row.difference], [place], marker="o", markersize=7, color=colour, markerfacecolor=face, linestyle="", gid=gid)
            tooltips[gid] = f"{row.key.number} {row.key.name}: {row.tooltip}"
            label = axes.text(0.01, place - 0.26, f"{row.key.number}  {shorten_middle(row.key.name, MAX_NAME)}", fontsize=9.5, va="bottom")
            label.set_transform(axes.get_yaxis_transform())
            label.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 1})
        axes.set_ylim(len(rows) - 0.6, -0.95)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=True, axis="x")
        margin = 0.05 * (right - left)
        axes.set_xlim(left - margin, right + margin)
        axes.set_xlabel(f"better  ←   {unit}   →  worse")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        set_plain_ticks(axes.xaxis)
        return render_svg(figure, name, alt_text, tooltips)


def _choose_range(rows: Sequence[DifferenceBar]) -> tuple[float, float]:
    """Choose the ends of the axis of differences: an interval much wider than most would leave nothing to be seen of them."""
    typical = median(row.high - row.low for row in rows)
    widest = max(3 * max(abs(row.difference) for row in rows), 2 * typical) or 1.0
    left, right = min(0.0, *(row.low for row in rows)), max(0.0, *(row.high for row in rows))
    return max(left, -widest), min(right, widest)


def plot_cost_plane(name: str, dots: Sequence[Dot], x_axis: AxisSettings, y_axis: AxisSettings, alt_text: AltText) -> str:
    """Plot quality against one cost: the arms that nothing beats in both are joined by a line and numbered in bold."""
    with chart_style():
        figure, axes = _make_figure(HEIGHT)
        tooltips = {}
        front = sorted((dot for dot in dots if dot.on_front), key=lambda dot: (dot.x, -dot.y))
        axes.plot([dot.x for dot in front], [dot.y for dot in front], color=SERIES[1], linewidth=1.2, drawstyle="steps-post", zorder=1)
        for place, dot in enumerate(dots):
            colour, gid = (SERIES[1] if dot.on_front else FAINT), f"tip{place}"
            axes.plot((dot.x, dot.x), (dot.y - dot.spread, dot.y + dot.spread), color=colour, linewidth=1)
            if dot.x_spread:
                axes.plot((dot.x - dot.x_spread, dot.x + dot.x_spread), (dot.y, dot.y), color=colour, linewidth=1)
            axes.plot([dot.x], [dot.y], marker="o" if dot.on_front else "D", markersize=6, color=colour, linestyle="", gid=gid)
            tooltips[gid] = f"{dot.key.number} {dot.key.name}: {dot.tooltip}"
        set_axes(axes, x_axis, y_axis)
        axes.margins(0.12)
        for dot in _drop_crowded(axes, sorted(dots, key=lambda dot: not dot.on_front)):
            weight = "bold" if dot.on_front else "normal"
            axes.annotate(str(dot.key.number), (dot.x, dot.y), (5, 4), textcoords="offset points", fontsize=9.5, weight=weight)
        return render_svg(figure, name, alt_text, tooltips)


def shorten_middle(text: str, longest: int) -> str:
    """Leave out the middle of a text that is longer."""
    if len(text) <= longest:
        return text
    head = (longest - 1) * 2 // 3
    return f"{text[:head]}…{text[head + 1 - longest :]}"


def _make_figure(height: float, width: float = WIDTH) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure  # noqa: PLC0415 (optional and slow to import)

    figure = Figure(figsize=(width, height))
    return figure, figure.add_axes((0, 0, 1, 1))


def _choose_style(style: int | None) -> tuple[str, tuple[float, ...], str]:
    """Return colour, dashes and marker of a place in the palette."""
    if style is None:
        return FAINT, (), "."
    return SERIES[style % len(SERIES)], DASHES[style % len(DASHES)], MARKERS[style % len(MARKERS)]


def _number_ends(axes: "Axes", lines: Sequence[Line]) -> None:
    """Write the number of each arm at the right end of its curve, moved up or down where two would overlap."""
    ends = sorted(((*_find_end(axes, line), line) for line in lines), key=lambda end: (end[0], end[1]))
    while ends:
        near = sorted((end for end in ends if end[0] - ends[0][0] < 2 * LABEL_SPACING), key=lambda end: end[1])
        ends = [end for end in ends if end not in near]
        for (_, up, line), moved in zip(near, spread_labels([end[1] for end in near], HEIGHT * POINTS), strict=True):
            beside = axes.annotate(str(line.key.number), line.points[-1], (5, moved - up), textcoords="offset points", va="center")
            beside.set(color=_choose_style(line.key.style)[0], fontsize=9.5, weight="bold")


def _find_end(axes: "Axes", line: Line) -> tuple[float, float]:
    """Find where a curve ends, in points from the lower left corner."""
    across, up = axes.transAxes.inverted().transform(axes.transData.transform(line.points[-1]))
    return float(across) * WIDTH * POINTS, float(up) * HEIGHT * POINTS


def spread_labels(places: Sequence[float], height: float) -> list[float]:
    """Move ascending places as little as possible until neighbours are LABEL_SPACING apart, and below `height` where there is room."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + LABEL_SPACING) if moved else place)
    limit = max(height, LABEL_SPACING * len(places))
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], limit - LABEL_SPACING * (len(moved) - 1 - index))
    return moved


def _drop_crowded(axes: "Axes", dots: Sequence[Dot]) -> list[Dot]:
    """Drop the dots whose numbers would fall on those of earlier ones."""
    kept: list[Dot] = []
    places: list[tuple[float, float]] = []
    for dot in dots:
        x, y = axes.transData.transform((dot.x, dot.y)) * POINTS / axes.figure.dpi
        if all(abs(x - other[0]) > LABEL_SPACING * 1.3 or abs(y - other[1]) > LABEL_SPACING for other in places):
            places.append((x, y))
            kept.append(dot)
    return kept
