"""The pictures of a report, each from plain values: curves, differences with intervals, quality against cost."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from assay.reports.picture import DASHES, FAINT, INK, MARKERS, PAPER, SERIES, Said, drawing, inline
from assay.reports.scale import Scale, set_scales, write_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.6, 2.5  # inches of the axes
POINTS = 72  # in an inch
ROW = 0.36  # inches a row of the differences
APART = 10.5  # points between two numbers at the ends of curves
LONGEST = 58  # characters of a name above its interval


class Line(NamedTuple):
    """A curve of one arm. `style` is its place in the palette, None: in the background with all others that have none."""

    number: int  # of the arm in the table
    label: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()  # x, low, high over seeds
    style: int | None = None


class Difference(NamedTuple):
    """An arm's difference from the base with its 95 % interval; negative is better."""

    number: int
    label: str
    difference: float
    low: float
    high: float
    resolved: bool
    told: str  # the figures as words


class Dot(NamedTuple):
    """An arm in a plane of cost and quality."""

    number: int
    label: str
    x: float
    y: float
    spread: float  # standard deviation over seeds
    best: bool  # no other arm costs no more and is better
    told: str


def curves(name: str, lines: Sequence[Line], across: Scale, up: Scale, said: Said, *, marked: bool = False) -> str:
    """Curves of several arms, numbered at their ends; `marked`: with a mark at every point."""
    with drawing():
        figure, axes = _figure(HEIGHT)
        tips = {}
        for place, line in enumerate(sorted(lines, key=lambda line: (line.style is not None, -line.number))):
            colour, dashes, marker = _look(line.style)
            if line.band:
                x, low, high = zip(*line.band, strict=True)
                axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
            x, y = zip(*line.points, strict=True)
            shape = marker if marked or len(line.points) == 1 else ""
            width = 0.8 if line.style is None else 1.8
            drawn = axes.plot(x, y, color=colour, linewidth=width, marker=shape, markersize=4.5, label=line.label, gid=f"tip{place}")[0]
            drawn.set_dashes(dashes) if dashes else None
            tips[f"tip{place}"] = f"{line.number} {line.label}"
        set_scales(axes, across, up)
        _number_ends(axes, [line for line in lines if line.style is not None])
        return inline(figure, name, said, tips)


def differences(name: str, rows: Sequence[Difference], unit: str, said: Said) -> str:
    """Each arm's difference from the base: a point with its interval, the arm's name above it. A filled point is resolved."""
    with drawing():
        from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 (optional and slow to import)

        figure, axes = _figure(ROW * len(rows) + 0.1, WIDTH + 0.5)
        tips = {}
        left, right = _reach(rows)
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
            tips[gid] = f"{row.number} {row.label}: {row.told}"
            label = axes.text(0.01, place - 0.26, f"{row.number}  {shortened(row.label, LONGEST)}", fontsize=9.5, va="bottom")
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
        write_out(axes.xaxis)
        return inline(figure, name, said, tips)


def _reach(rows: Sequence[Difference]) -> tuple[float, float]:
    """From where to where the picture of differences goes: an interval much wider than most would leave nothing to be seen of them."""
    typical = median(row.high - row.low for row in rows)
    widest = max(3 * max(abs(row.difference) for row in rows), 2 * typical) or 1.0
    left, right = min(0.0, *(row.low for row in rows)), max(0.0, *(row.high for row in rows))
    return max(left, -widest), min(right, widest)


def plane(name: str, dots: Sequence[Dot], across: Scale, up: Scale, said: Said) -> str:
    """Quality against one cost: the arms that nothing beats in both are joined by a line and numbered in bold."""
    with drawing():
        figure, axes = _figure(HEIGHT)
        tips = {}
        front = sorted((dot for dot in dots if dot.best), key=lambda dot: (dot.x, -dot.y))
        axes.plot([dot.x for dot in front], [dot.y for dot in front], color=SERIES[1], linewidth=1.2, drawstyle="steps-post", zorder=1)
        for place, dot in enumerate(dots):
            colour, gid = (SERIES[1] if dot.best else FAINT), f"tip{place}"
            axes.plot((dot.x, dot.x), (dot.y - dot.spread, dot.y + dot.spread), color=colour, linewidth=1)
            axes.plot([dot.x], [dot.y], marker="o" if dot.best else "D", markersize=6, color=colour, linestyle="", gid=gid)
            tips[gid] = f"{dot.number} {dot.label}: {dot.told}"
        set_scales(axes, across, up)
        axes.margins(0.12)
        for dot in _uncrowded(axes, sorted(dots, key=lambda dot: not dot.best)):
            weight = "bold" if dot.best else "normal"
            axes.annotate(str(dot.number), (dot.x, dot.y), (5, 4), textcoords="offset points", fontsize=9.5, weight=weight)
        return inline(figure, name, said, tips)


def shortened(text: str, longest: int) -> str:
    """A text with its middle left out where it is longer."""
    if len(text) <= longest:
        return text
    head = (longest - 1) * 2 // 3
    return f"{text[:head]}…{text[head + 1 - longest :]}"


def _figure(height: float, width: float = WIDTH) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure  # noqa: PLC0415 (optional and slow to import)

    figure = Figure(figsize=(width, height))
    return figure, figure.add_axes((0, 0, 1, 1))


def _look(style: int | None) -> tuple[str, tuple[float, ...], str]:
    """Colour, dashes and mark of a place in the palette."""
    if style is None:
        return FAINT, (), "."
    return SERIES[style % len(SERIES)], DASHES[style % len(DASHES)], MARKERS[style % len(MARKERS)]


def _number_ends(axes: "Axes", lines: Sequence[Line]) -> None:
    """The number of each arm at the right end of its curve, moved up or down where two would meet."""
    ends = sorted(((*_end(axes, line), line) for line in lines), key=lambda end: (end[0], end[1]))
    while ends:
        near = sorted((end for end in ends if end[0] - ends[0][0] < 2 * APART), key=lambda end: end[1])
        ends = [end for end in ends if end not in near]
        for (_, up, line), moved in zip(near, apart([end[1] for end in near], HEIGHT * POINTS), strict=True):
            beside = axes.annotate(str(line.number), line.points[-1], (5, moved - up), textcoords="offset points", va="center")
            beside.set(color=_look(line.style)[0], fontsize=9.5, weight="bold")


def _end(axes: "Axes", line: Line) -> tuple[float, float]:
    """Where a curve ends, in points from the lower left corner."""
    across, up = axes.transAxes.inverted().transform(axes.transData.transform(line.points[-1]))
    return float(across) * WIDTH * POINTS, float(up) * HEIGHT * POINTS


def apart(places: Sequence[float], height: float) -> list[float]:
    """Ascending places moved as little as it takes for neighbours to be APART, and below `height` where there is room."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + APART) if moved else place)
    limit = max(height, APART * len(places))
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], limit - APART * (len(moved) - 1 - index))
    return moved


def _uncrowded(axes: "Axes", dots: Sequence[Dot]) -> list[Dot]:
    """The dots whose numbers do not fall on those of earlier ones."""
    chosen: list[tuple[float, float]] = []
    found = []
    for dot in dots:
        x, y = axes.transData.transform((dot.x, dot.y)) * 72 / axes.figure.dpi
        if all(abs(x - other[0]) > APART * 1.3 or abs(y - other[1]) > APART for other in chosen):
            chosen.append((x, y))
            found.append(dot)
    return found
