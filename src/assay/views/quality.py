"""What the terminal shows of `assay quality`."""

from typing import Any

from rich.console import Console

from assay.data.leakage import RUN
from assay.generation.quality import Copy, Quality
from assay.generation.variety import ORDERS
from assay.terminal.console import visible
from assay.terminal.tables import print_table

SHOWN = 160  # characters of the longest copied span that are printed; the stored figures hold all of it


def print_quality(out: Console, found: Quality) -> None:
    """The figures of both sides, the longest copy, and the verdict."""
    print_table(out, ("", "samples", "held-out"), _rows(found))
    if found.longest_copy is not None:
        out.print(_where(found.longest_copy), soft_wrap=True, markup=False)
    out.print(found.verdict, soft_wrap=True, markup=False)


def _rows(found: Quality) -> list[tuple[str, str, str]]:
    sides = (found.samples, found.held_out)

    def row(label: str, *cells: str) -> tuple[str, str, str]:
        return label, cells[0], cells[1]

    return [
        row(f"texts, at most {found.limit} tokens each", *(f"{side.texts:,}" for side in sides)),
        row("ended by themselves", *(_share(side.ended) for side in sides)),
        row(f"distinct-{ORDERS[0]} to -{ORDERS[-1]} of tokens", *(_shares(side.distinct_tokens) for side in sides)),
        row(f"distinct-{ORDERS[0]} to -{ORDERS[-1]} of words", *(_shares(side.distinct_words) for side in sides)),
        row("in training, byte for byte", *(_share(side.verbatim) for side in sides)),
        row("in training, but for case and marks", *(_share(side.alike) for side in sides)),
        row(f"spans of {RUN} words in training", *(f"{side.known_passages:.1%} of {side.passages:,}" for side in sides)),
        row("longest span from training, bytes: 10, 50, 90 %", *(_numbers(side.copied_bytes) for side in sides)),
        row("the longest of all", *(f"{side.copied_longest:,}" for side in sides)),
        row("length, bytes: 10, 50, 90 %", *(_numbers(side.length_bytes) for side in sides)),
        row("distance of lengths from training documents' (D)", *(_figure(side.length_distance) for side in sides)),
    ]


def _where(copy: Copy) -> str:
    group = "" if copy.group is None else f" ({copy.group})"
    more = "" if len(copy.span) <= SHOWN else " ..."
    return (
        f"\nlongest copy: {copy.bytes} bytes from byte {copy.byte:,} of training document {copy.document:,}{group}: "
        f'"{visible(copy.span[:SHOWN])}{more}"'
    )


def _share(value: Any) -> str:
    return "-" if value is None else f"{value:.1%}"


def _figure(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}"


def _shares(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:,.0f}" for value in values)
