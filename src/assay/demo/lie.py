"""A lie and what is told of it: a claim, figures had the wrong way and the right way, what is wrong, what Assay does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from assay.demo.stage import Stage


class Table(NamedTuple):
    """Rows of words and figures; the first column names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Told:
    """What a demonstration found."""

    claim: str  # what somebody would say
    tables: tuple[Table, ...]
    wrong: str
    remedy: str
    figures: dict[str, Any]  # for programs
    notes: tuple[str, ...] = ()  # what was different from how it was meant, such as another text


class Lie(NamedTuple):
    """One of the six."""

    number: int
    name: str
    minutes: float  # of processor time at full size, about
    show: Callable[[Stage], Told]
