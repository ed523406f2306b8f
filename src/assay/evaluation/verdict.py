"""What a comparison says, in words: resolved or not, by how much, and what it would take."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from assay.evaluation.compare import Comparison, OverSeeds, TextDifference, Units
from assay.statistics.interval import LEVEL, Interval

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Words(NamedTuple):
    """What the arms and the figure are called."""

    names: Sequence[str] = LETTERS
    unit: str = "bits per byte"
    place: str = ""  # over what the difference is, where that has to be told


LETTERED = Words()


def text_verdict(comparison: Comparison, units: Units, family: int, words: Words = LETTERED) -> str:
    """Of the difference over units of text: of the median seeds, or of the two runs that there are."""
    found, kind = comparison.text, units.kind
    if found.signs.equal == len(units.sizes):
        return f"no difference{words.place}: exactly 0 in every one of the {len(units.sizes):,} {kind}, interval [0, 0]"
    have = f"{len(units.sizes):,} {kind} were scored"
    needed = None if found.needed is None else f"about {found.needed:,} {kind} would be needed ({have})"
    better = words.names[comparison.pair[0] if found.difference < 0 else comparison.pair[1]]
    return _verdict(f"{better} better", found.difference, found.interval, found.adjusted, family, needed, words)


def seed_verdict(pair: tuple[int, int], over: OverSeeds, family: int, counts: tuple[int, int], words: Words = LETTERED) -> str:
    """Of the difference of two means over seeds; `pair` are the two arms."""
    each = "pairs of seeds" if over.found.paired else "seeds of each"
    have = f"{counts[0]} and {counts[1]}" if counts[0] != counts[1] else str(counts[0])
    needed = None if over.needed is None else f"about {over.needed:,} {each} would be needed (there are {have})"
    if over.found.difference == 0 and over.found.standard_error == 0:
        return "no difference: the seeds of both give the same figures"
    better = words.names[pair[0] if over.found.difference < 0 else pair[1]]
    return _verdict(f"{better} better", over.found.difference, over.found.interval, over.adjusted, family, needed, words)


def resolved(found: TextDifference | OverSeeds) -> bool:
    """Whether 0 is excluded, all comparisons made at once considered."""
    return found.adjusted < 1 - LEVEL


def _verdict(better: str, difference: float, interval: Interval, adjusted: float, family: int, needed: str | None, words: Words) -> str:
    size = f"{figure(abs(difference), interval.half)} +- {figure(interval.half, interval.half)} {words.unit}"
    if adjusted < 1 - LEVEL:
        return f"resolved{words.place}: {better} by {size}"
    among = f" among {family} comparisons" if family > 1 and interval.probability < 1 - LEVEL else ""
    seen = f"not resolved{words.place}{among}: {better} by {size}, which may be chance"
    return seen if needed is None else f"{seen}; {needed} if it is as large as seen"


def figure(value: float, half: float, *, sign: bool = False) -> str:
    """A number with as many decimals as give half an interval two digits, at least three and at most six."""
    decimals = 4 if half == 0 else min(6, max(3, 1 - math.floor(math.log10(half))))
    return f"{value:{'+' if sign else ''}.{decimals}f}"


def probability(value: float) -> str:
    """For people."""
    return "p < 0.001" if value < 1e-3 else f"p = {value:.3f}"
