"""Draw how often each byte value occurs in a text."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from assay.reports.plots import INK, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ByteKind(NamedTuple):
    """Byte values of one kind."""

    label: str
    colour: str
    values: frozenset[int]


WHITE_SPACE = frozenset(b"\t\n\v\f\r ")
DIGITS = frozenset(b"0123456789")
CAPITALS = frozenset(range(ord("A"), ord("Z") + 1))
SMALL = frozenset(range(ord("a"), ord("z") + 1))
CONTROL = frozenset({*range(32), 127}) - WHITE_SPACE
PUNCTUATION = frozenset(range(128)) - WHITE_SPACE - DIGITS - CAPITALS - SMALL - CONTROL
BYTE_KINDS = (
    ByteKind("white space", "#8c564b", WHITE_SPACE),
    ByteKind("punctuation and symbols", "#c1440e", PUNCTUATION),
    ByteKind("digits", "#2a7f62", DIGITS),
    ByteKind("capital letters", "#4a8fc0", CAPITALS),
    ByteKind("lower-case letters", "#1b4965", SMALL),
    ByteKind("control characters", "#6b6b6b", CONTROL),
    ByteKind("UTF-8: first byte of a character", "#7b3f98", frozenset(range(0xC2, 0xF5))),
    ByteKind("UTF-8: continuation of a character", "#bf8fd3", frozenset(range(0x80, 0xC0))),
    ByteKind("never in UTF-8", "#d62728", frozenset({0xC0, 0xC1, *range(0xF5, 0x100)})),
)
NAMES = {0: "NUL", 9: "TAB", 10: "LF", 13: "CR", 27: "ESC", 32: "space"}
HALF = 128


def draw_byte_histogram(histogram: Sequence[int], title: str, path: Path) -> None:
    """Draw a histogram [256] into a file. The same figures give the same svg, byte for byte."""
    halves = 1 + any(histogram[HALF:])
    with save_figure(path, (11, 0.9 + 2.7 * halves), bbox_inches="tight") as figure:
        panels = figure.subplots(halves, squeeze=False)[:, 0]
        for panel, first in zip(panels, (0, HALF), strict=False):
            _draw_bars(panel, histogram, first)
        _name_ascii(panels[0], histogram)
        panels[0].set_title(title, loc="left", color=INK, fontsize=11)
        for panel in panels[1:]:
            panel.set_xticks(range(HALF, 257, 16), [f"{value:02X}" for value in range(HALF, 256, 16)] + [""], fontsize=8, color=INK)
        panels[-1].set_xlabel("byte" if halves == 1 else "byte: ASCII above, from hexadecimal 80 to FF below", color=INK)
        figure.legend(*_make_legend(histogram), loc="outside lower left", frameon=False, fontsize=8.5, ncols=2)


def _draw_bars(axes: "Axes", histogram: Sequence[int], first: int) -> None:
    """Draw a bar for each of 128 values that occurs, coloured by its kind."""
    from matplotlib.ticker import FuncFormatter, NullLocator  # noqa: PLC0415 (optional and slow to import)

    total = max(sum(histogram), 1)
    floor = min((count for count in histogram if count), default=1) / total / 2
    for kind in BYTE_KINDS:
        values = [value for value in range(first, first + HALF) if value in kind.values and histogram[value]]
        axes.bar(values, [histogram[value] / total - floor for value in values], bottom=floor, width=0.8, color=kind.colour)
    axes.set_yscale("log")
    axes.set_ylim(floor, 1)
    axes.set_xlim(first - 1, first + HALF)
    axes.set_ylabel("share of all bytes", color=INK)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: format_percent(share)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", labelsize=8, labelcolor=INK)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _name_ascii(axes: "Axes", histogram: Sequence[int]) -> None:
    """Write every printable character below its bar, upright; other values that occur by name, on their side."""
    printable = range(33, 127)
    labels = [chr(value).replace("$", "\\$") for value in printable]  # a bare $ would begin a formula
    axes.set_xticks(printable, labels, fontsize=7, color=INK)
    below = ("data", "axes fraction")
    for value in (*range(33), 127):
        if histogram[value]:
            name = NAMES.get(value, f"{value:02X}")
            axes.annotate(name, (value, 0), (0, -4), below, "offset points", rotation=90, ha="center", va="top", fontsize=6, color=INK)


def _make_legend(histogram: Sequence[int]) -> tuple[list[Any], list[str]]:
    """Make a patch and a line of text for each kind that occurs: its share, and how many of its values."""
    from matplotlib.patches import Patch  # noqa: PLC0415 (optional and slow to import)

    total = max(sum(histogram), 1)
    present = {kind: [histogram[value] for value in kind.values if histogram[value]] for kind in BYTE_KINDS}
    kinds = [kind for kind in BYTE_KINDS if present[kind]]
    texts = [f"{k.label}: {format_percent(sum(present[k]) / total)}, {len(present[k])} of {len(k.values)} values" for k in kinds]
    return [Patch(color=kind.colour) for kind in kinds], texts


def format_percent(share: float) -> str:
    """Write a share in per cent: three digits, two below ten per cent, never in powers of ten."""
    value = 100 * share
    digits = 1 - math.floor(math.log10(value)) if 0 < value < 10 else 1
    text = f"{value:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"
