"""Draw charts in plain characters: two curves on one pair of axes, a filled curve, a sparkline, a progress bar."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.console import Console
from rich.text import Text

BRAILLE, DOTS = 0x2800, ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of the rows and columns inside one character
BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", ".:-=+*#%"
BLOCKS, ASCII_BLOCKS = " " + BARS, " .:#"
HEIGHT = 8  # lines of a filled curve
MAX_WIDTH = 100  # columns: wider is no easier to read
EARLY = 0.1  # of a run: the first fall from a uniform guess would flatten all that comes later
MANY = 1000  # dots between two points: more than a terminal is high
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of the plane that a chart shows: x from 0 to `right`, y from `low` to `high`."""

    right: float
    low: float
    high: float

    def cell(self, x: float, y: float, columns: int, rows: int) -> tuple[int, int]:
        """Compute the column and the row of a point in a grid of cells; the row is negative above the frame."""
        column = round(x / self.right * (columns - 1)) if self.right else 0
        down = (self.high - y) / (self.high - self.low) if self.high > self.low else 0.5
        return column, -1 if down < 0 else min(rows - 1, int(down * rows))


def draw_chart(dense: Points, sparse: Points, size: tuple[int, int], *, unicode: bool) -> list[str]:
    """Draw `dense` as a line and the points of `sparse` as circles over it, in `size` (columns, lines) with the axes.

    Points above the frame are left out: it holds all values but those of the first tenth of the way. Empty where there is no room or
    nothing to draw.
    """
    width, height = size
    points = [*dense, *sparse]
    if not points or height < 4 or width < 24:
        return []
    right = max(x for x, _ in points)
    settled = [y for x, y in points if x >= EARLY * right]
    frame = Frame(right, min(settled), max(settled))
    labels = f"{frame.high:.3f}", f"{frame.low:.3f}"
    margin = max(map(len, labels))
    columns, rows = width - margin - 2, height - 2
    grid = _draw_line(dense, frame, columns, rows, unicode=unicode)
    for x, y in sparse:
        column, row = frame.cell(x, y, columns, rows)
        if 0 <= row < rows:
            grid[row][column] = "●" if unicode else "o"
    corner, bar, dash = ("└", "│", "─") if unicode else ("+", "|", "-")
    lines = [f"{ {0: labels[0], rows - 1: labels[1]}.get(index, ''):>{margin}} {bar}{''.join(row)}" for index, row in enumerate(grid)]
    return [
        *(line.rstrip() for line in lines),
        f"{'':>{margin}} {corner}{dash * columns}",
        f"{'':>{margin}}  {f'step {right:g}':>{columns}}",
    ]


def _draw_line(points: Points, frame: Frame, columns: int, rows: int, *, unicode: bool) -> list[list[str]]:
    """Draw a line in a grid of characters, of 2 x 4 dots each where the terminal has braille."""
    across, down = (2, 4) if unicode else (1, 1)
    finest = frame.right / (2 * columns) or 1.0, (frame.high - frame.low) / (4 * rows) or 1.0
    codes = [[0] * columns for _ in range(rows)]
    for x, y in _interpolate(points, finest):
        column, row = frame.cell(x, y, across * columns, down * rows)
        if row >= 0:
            codes[row // down][column // across] |= DOTS[row % down][column % across]
    return [[(chr(BRAILLE + code) if unicode else ".") if code else " " for code in line] for line in codes]


def _interpolate(points: Points, finest: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Yield points, and others on the straight lines between them, so that no dot of this (width, height) is left out."""
    for (x, y), (next_x, next_y) in pairwise(points):
        pieces = max(1, math.ceil(min(MANY, max((next_x - x) / finest[0], abs(next_y - y) / finest[1]))))
        yield from ((x + (next_x - x) * piece / pieces, y + (next_y - y) * piece / pieces) for piece in range(pieces))
    yield from points[-1:]


def curve_width(out: Console, labels: Sequence[str]) -> int:
    """Compute how many values a filled curve has room for beside the labels of its axis."""
    return max(8, min(out.width, MAX_WIDTH) - max(map(len, labels)) - 2)


def print_curve(out: Console, values: Sequence[float], labels: tuple[str, str], ends: tuple[str, str]) -> None:
    """Print values between 0 and 1, one a column, with the area below them filled.

    `labels` stand at 1 and at 0, `ends` under the first and the last value.
    """
    marks = BLOCKS if out.encoding.lower().startswith("utf") else ASCII_BLOCKS
    margin = max(map(len, labels))
    lines = fill_curve(values, HEIGHT, marks)
    for index, line in enumerate(lines):
        label = {0: labels[0], len(lines) - 1: labels[1]}.get(index, "")
        out.print(Text(f"{label:>{margin}} |{line}".rstrip()), no_wrap=True, overflow="crop", crop=False)
    out.print(Text(f"{'':>{margin}}  {ends[0]}{ends[1]:>{max(0, len(values) - len(ends[0]))}}"), soft_wrap=True)


def fill_curve(values: Sequence[float], height: int, marks: str) -> list[str]:
    """Fill the area below a curve: its lines from the highest to the lowest, each character in as many parts as there are marks."""
    parts = len(marks) - 1
    levels = [round(min(1.0, max(0.0, value)) * height * parts) for value in values]
    return ["".join(marks[min(parts, max(0, level - row * parts))] for level in levels) for row in reversed(range(height))]


def draw_sparkline(values: Sequence[float], width: int, *, unicode: bool) -> str:
    """Draw values in one line, from the lowest bar to the highest; where there are more than `width`, evenly chosen ones and the last."""
    values = [values[index] for index in space_evenly(len(values), width)]
    bars = BARS if unicode else ASCII_BARS
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = high - low or 1.0
    return "".join(bars[min(len(bars) - 1, int((value - low) / span * len(bars)))] for value in values)


def draw_progress_bar(share: float, width: int, *, unicode: bool) -> str:
    """Draw a bar of which a share is filled."""
    done = round(max(0.0, min(1.0, share)) * width)
    full, empty = ("█", "░") if unicode else ("#", "-")
    return full * done + empty * (width - done)


def space_evenly(count: int, most: int) -> list[int]:
    """Choose the indices of at most `most` of `count` values at equal distances, from the first to the last."""
    most = min(count, most)
    return [round(index * (count - 1) / max(1, most - 1)) for index in range(most)]
