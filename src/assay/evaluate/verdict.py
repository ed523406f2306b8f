"""What a comparison says, in words: resolved or not, by how much, and what it would take."""

import math

from assay.evaluate.compare import Comparison, OverSeeds, TextDifference, Units
from assay.statistics.interval import LEVEL, Interval

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def text_verdict(comparison: Comparison, units: Units, family: int) -> str:
    """Of the difference over units of text: of the median seeds, or of the two runs that there are."""
    found, kind = comparison.text, units.kind.partition(" of ")[0]
    if found.signs.equal == len(units.sizes):
        return f"no difference: exactly 0 in every one of the {len(units.sizes):,} {kind}, interval [0, 0]"
    have = f"{len(units.sizes):,} {kind} were scored"
    needed = None if found.needed is None else f"about {found.needed:,} {kind} would be needed ({have})"
    return _verdict(comparison, found.difference, found.interval, found.adjusted, family, needed)


def seed_verdict(comparison: Comparison, over: OverSeeds, family: int, counts: tuple[int, int]) -> str:
    """Of the difference of two means over seeds."""
    each = "pairs of seeds" if over.found.paired else "seeds of each"
    have = f"{counts[0]} and {counts[1]}" if counts[0] != counts[1] else str(counts[0])
    needed = None if over.needed is None else f"about {over.needed:,} {each} would be needed (there are {have})"
    if over.found.difference == 0 and over.found.standard_error == 0:
        return "no difference: the seeds of both give the same figures"
    return _verdict(comparison, over.found.difference, over.found.interval, over.adjusted, family, needed)


def resolved(found: TextDifference | OverSeeds) -> bool:
    """Whether 0 is excluded, all comparisons made at once considered."""
    return found.adjusted < 1 - LEVEL


def _verdict(comparison: Comparison, difference: float, interval: Interval, adjusted: float, family: int, needed: str | None) -> str:
    better = LETTERS[comparison.first if difference < 0 else comparison.second]
    size = f"{figure(abs(difference), interval.half)} +- {figure(interval.half, interval.half)} bits per byte"
    if adjusted < 1 - LEVEL:
        return f"resolved: {better} better by {size}"
    among = f" among {family} comparisons" if family > 1 and interval.probability < 1 - LEVEL else ""
    seen = f"not resolved{among}: {better} better by {size}, which may be chance"
    return seen if needed is None else f"{seen}; {needed} if it is as large as seen"


def figure(value: float, half: float, *, sign: bool = False) -> str:
    """A number with as many decimals as give half an interval two digits, at least three and at most six."""
    decimals = 4 if half == 0 else min(6, max(3, 1 - math.floor(math.log10(half))))
    return f"{value:{'+' if sign else ''}.{decimals}f}"


def probability(value: float) -> str:
    """For people."""
    return "p < 0.001" if value < 1e-3 else f"p = {value:.3f}"
