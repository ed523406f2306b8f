"""Two curves on one pair of axes, in plain characters: a dense one as a line, and a sparse one of circles over it."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

BRAILLE, DOTS = 0x2800, ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of the rows and columns inside one character
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = ".:-=+*#%"
EARLY = 0.1  # of a run: the first fall from a uniform guess would flatten all that comes later
MANY = 1000  # dots between two points: more than a terminal is high
Points = Sequence[tuple[float, float]]


def chart(dense: Points, sparse: Points, size: tuple[int, int], *, unicode: bool) -> list[str]:
    """The lines of a chart, `size` (columns, lines) with its axes; empty where there is no room or nothing to draw.

    Points above the frame are left out: it holds all values but those of the first tenth of the way.
    """
    width, height = size
    points = [*dense, *sparse]
    if not points or height < 4 or width < 24:
        return []
    right = max(x for x, _ in points)
    settled = [y for x, y in points if x >= EARLY * right]
    low, high = min(settled), max(settled)
    labels = f"{high:.3f}", f"{low:.3f}"
    margin = max(map(len, labels))
    columns, rows = width - margin - 2, height - 2
    finest = right / (2 * columns) or 1.0, (high - low) / (4 * rows) or 1.0
    grid = _dots(list(_joined(dense, finest)), (right, low, high), (columns, rows), unicode=unicode)
    for x, y in sparse:
        column, row = _place(x, y, (right, low, high), (columns, rows))
        if 0 <= row < rows:
            grid[row][column] = "●" if unicode else "o"
    corner, bar, dash = ("└", "│", "─") if unicode else ("+", "|", "-")
    lines = [f"{ {0: labels[0], rows - 1: labels[1]}.get(index, ''):>{margin}} {bar}{''.join(row)}" for index, row in enumerate(grid)]
    return [
        *(line.rstrip() for line in lines),
        f"{'':>{margin}} {corner}{dash * columns}",
        f"{'':>{margin}}  {f'step {right:g}':>{columns}}",
    ]


def _joined(points: Points, finest: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Points, and others on the straight lines between them, so that no dot of this (width, height) is left out."""
    for (x, y), (following, below) in pairwise(points):
        pieces = max(1, math.ceil(min(MANY, max((following - x) / finest[0], abs(below - y) / finest[1]))))
        yield from ((x + (following - x) * piece / pieces, y + (below - y) * piece / pieces) for piece in range(pieces))
    yield from points[-1:]


def _place(x: float, y: float, frame: tuple[float, float, float], size: tuple[int, int]) -> tuple[int, int]:
    """The column and the row of a point in a field of (columns, rows); the row is negative above the frame."""
    right, low, high = frame
    columns, rows = size
    column = round(x / right * (columns - 1)) if right else 0
    down = (high - y) / (high - low) if high > low else 0.5
    return column, -1 if down < 0 else min(rows - 1, int(down * rows))


def _dots(points: Points, frame: tuple[float, float, float], size: tuple[int, int], *, unicode: bool) -> list[list[str]]:
    """Points in a field of (columns, rows) characters: 2 x 4 of them in each where the terminal has braille."""
    columns, rows = size
    if not unicode:
        grid = [[" "] * columns for _ in range(rows)]
        for x, y in points:
            column, row = _place(x, y, frame, size)
            if row >= 0:
                grid[row][column] = "."
        return grid
    codes = [[0] * columns for _ in range(rows)]
    for x, y in points:
        column, row = _place(x, y, frame, (2 * columns, 4 * rows))
        if row >= 0:
            codes[row // 4][column // 2] |= DOTS[row % 4][column % 2]
    return [[chr(BRAILLE + code) if code else " " for code in line] for line in codes]


def sparkline(values: Sequence[float], width: int, *, unicode: bool) -> str:
    """Values in one line, from the lowest bar to the highest; where there are more than `width`, evenly chosen ones and the last."""
    if len(values) > width:
        values = [values[round(index * (len(values) - 1) / (width - 1))] for index in range(width)]
    bars = BARS if unicode else ASCII_BARS
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = high - low or 1.0
    return "".join(bars[min(len(bars) - 1, int((value - low) / span * len(bars)))] for value in values)


def progress(share: float, width: int, *, unicode: bool) -> str:
    """A bar of which a share is filled."""
    done = round(max(0.0, min(1.0, share)) * width)
    full, empty = ("█", "░") if unicode else ("#", "-")
    return full * done + empty * (width - done)
