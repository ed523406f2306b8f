"""Whether two configurations differ by more than their seeds do.

Unpaired, after Welch: SE^2 = s_A^2/n_A + s_B^2/n_B with the degrees of freedom of Welch and Satterthwaite (Biometrika 34, 1947). Paired by
seed, where the same seed means the same initial weights and the same data: SE = sd(d) / sqrt(n) with n - 1. Never by resampling: a
bootstrap of three seeds knows three numbers and calls that a distribution.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from assay.statistics.interval import LEVEL, POWER, Interval, student, units_needed
from assay.statistics.student import quantile

Figures = Sequence[float]
MANY = 1000  # seeds, of which t asks for less than 1 % more than the normal distribution


class SeedDifference(NamedTuple):
    """The difference of two means over seeds."""

    difference: float
    standard_error: float
    freedom: float
    interval: Interval
    spread: float  # standard deviation, over seeds, that decides how many of them are needed
    paired: bool


def welch(a: Figures, b: Figures) -> SeedDifference:
    """mean(a) - mean(b); at least two seeds each."""
    parts = [stdev(a) ** 2 / len(a), stdev(b) ** 2 / len(b)]
    error, difference = math.sqrt(sum(parts)), fmean(a) - fmean(b)
    freedom = float(len(a) + len(b) - 2)
    if error > 0:
        freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    spread = math.sqrt(stdev(a) ** 2 + stdev(b) ** 2)
    return SeedDifference(difference, error, freedom, student(difference, error, freedom), spread, paired=False)


def paired(a: Figures, b: Figures) -> SeedDifference:
    """mean(a - b), where a[i] and b[i] come from the same seed; at least two seeds."""
    each = [one - other for one, other in zip(a, b, strict=True)]
    spread, difference = stdev(each), fmean(each)
    error = spread / math.sqrt(len(each))
    return SeedDifference(difference, error, len(each) - 1.0, student(difference, error, len(each) - 1.0), spread, paired=True)


def seeds_needed(found: SeedDifference, family: int = 1) -> int | None:
    """About how many seeds an arm find a true difference of the size found in POWER of all studies; None where no number would.

    The least n with n >= (t_(1 - alpha/2m) + t_power)^2 spread^2 / difference^2, t with 2n - 2 degrees of freedom (n - 1 if paired);
    spread^2 is the variance of one seed's difference: s_A^2 + s_B^2, or that of the pairs.
    """
    count = units_needed(found.difference, found.spread, 1, family)
    if count is None or count > MANY:
        return count
    for more in range(max(2, count), count + 10):  # t asks for one to three more than the normal distribution
        freedom = float(more - 1 if found.paired else 2 * more - 2)
        reach = quantile(1 - (1 - LEVEL) / (2 * family), freedom) + quantile(POWER, freedom)
        if more >= (reach * found.spread / found.difference) ** 2:
            return more
    return count + 10
