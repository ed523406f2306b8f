"""A curve in plain characters: as wide as it is given values, the area under it filled."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

BLOCKS, ASCII = " ▁▂▃▄▅▆▇█", " .:#"
HEIGHT = 8  # lines
WIDEST = 100  # columns: wider is no easier to read


def columns(out: Console, labels: Sequence[str]) -> int:
    """How many values a curve has room for beside the labels of its axis."""
    return max(8, min(out.width, WIDEST) - max(map(len, labels)) - 2)


def print_curve(out: Console, values: Sequence[float], labels: tuple[str, str], ends: tuple[str, str]) -> None:
    """Values between 0 and 1, one a column; `labels` are those of 1 and of 0, `ends` what stands under the first and the last value."""
    marks = BLOCKS if out.encoding.lower().startswith("utf") else ASCII
    margin = max(map(len, labels))
    lines = filled(values, HEIGHT, marks)
    for index, line in enumerate(lines):
        label = {0: labels[0], len(lines) - 1: labels[1]}.get(index, "")
        out.print(Text(f"{label:>{margin}} |{line}".rstrip()), no_wrap=True, overflow="crop", crop=False)
    out.print(Text(f"{'':>{margin}}  {ends[0]}{ends[1]:>{max(0, len(values) - len(ends[0]))}}"), soft_wrap=True)


def filled(values: Sequence[float], height: int, marks: str) -> list[str]:
    """The lines of a curve from the highest to the lowest; each character is filled in as many parts as there are marks."""
    parts = len(marks) - 1
    levels = [round(min(1.0, max(0.0, value)) * height * parts) for value in values]
    return ["".join(marks[min(parts, max(0, level - row * parts))] for level in levels) for row in reversed(range(height))]
