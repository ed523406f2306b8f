"""Differences between the means of configurations over seeds, with their intervals: of two, or of several with weights.

Never by resampling: a bootstrap of three seeds can only draw the same three figures again.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from assay.statistics.interval import LEVEL, POWER, Interval, t_interval, t_quantile, units_needed

SeedValues = Sequence[float]
WeightedArms = Sequence[tuple[float, SeedValues]]  # the weight of an arm and the figures of its seeds
MANY_SEEDS = 1000  # seeds, of which t asks for less than 1 % more than the normal distribution


class SeedDifference(NamedTuple):
    """A difference of means over seeds."""

    difference: float
    standard_error: float
    degrees_of_freedom: float
    interval: Interval
    spread: float  # standard deviation, over seeds, that decides how many of them are needed
    paired: bool


def contrast(terms: WeightedArms, *, paired: bool) -> SeedDifference:
    """Compute a weighted sum of the means of several arms: a difference, a main effect, an interaction. At least two seeds each.

    c = sum w_i mean(y_i), weights that sum to 0. Unpaired SE^2 = sum w_i^2 s_i^2 / n_i with Satterthwaite's degrees of freedom,
    (SE^2)^2 / sum (w_i^2 s_i^2 / n_i)^2 / (n_i - 1) (Biometrics Bulletin 2, 1946). What the arms share in a seed, such as the order of the
    data, cancels in c and not in SE, so that the interval is rather too wide than too narrow. Paired by seed, with the same seeds in the
    same order: Student's t of the sums of each seed.
    """
    if paired:
        sums = [sum(weight * y for (weight, _), y in zip(terms, row, strict=True)) for row in zip(*(y for _, y in terms), strict=True)]
        spread, difference, freedom = stdev(sums), fmean(sums), len(sums) - 1.0
        error = spread / math.sqrt(len(sums))
    else:
        parts = [weight**2 * stdev(figures) ** 2 / len(figures) for weight, figures in terms]
        error, difference = math.sqrt(sum(parts)), sum(weight * fmean(figures) for weight, figures in terms)
        freedom = float(sum(len(figures) - 1 for _, figures in terms))
        if error > 0:
            freedom = sum(parts) ** 2 / sum(part**2 / (len(figures) - 1) for part, (_, figures) in zip(parts, terms, strict=True))
        spread = math.sqrt(sum((weight * stdev(figures)) ** 2 for weight, figures in terms))
    return SeedDifference(difference, error, freedom, t_interval(difference, error, freedom), spread, paired)


def welch_difference(a: SeedValues, b: SeedValues) -> SeedDifference:
    """Compute mean(a) - mean(b) unpaired, after Welch: SE^2 = s_A^2/n_A + s_B^2/n_B (Biometrika 34, 1947). At least two seeds each."""
    return contrast([(1.0, a), (-1.0, b)], paired=False)


def paired_difference(a: SeedValues, b: SeedValues) -> SeedDifference:
    """Compute mean(a - b) with SE = sd(a - b) / sqrt(n) and n - 1 degrees of freedom; at least two seeds.

    a[i] and b[i] come from the same seed, which means the same initial weights and the same data.
    """
    return contrast([(1.0, a), (-1.0, b)], paired=True)


def seeds_needed(difference: SeedDifference, comparisons: int = 1) -> int | None:
    """Estimate how many seeds per arm find a true difference of this size in POWER of all studies; None: no number would.

    The least n with n >= (t_(1 - alpha/2m) + t_power)^2 spread^2 / difference^2, t with 2n - 2 degrees of freedom (n - 1 if paired);
    spread^2 is the variance of one seed's difference: s_A^2 + s_B^2, or that of the pairs.
    """
    count = units_needed(difference.difference, difference.spread, 1, comparisons)
    if count is None or count > MANY_SEEDS:
        return count
    for more in range(max(2, count), count + 10):  # t asks for one to three more than the normal distribution
        freedom = float(more - 1 if difference.paired else 2 * more - 2)
        reach = t_quantile(1 - (1 - LEVEL) / (2 * comparisons), freedom) + t_quantile(POWER, freedom)
        if more >= (reach * difference.spread / difference.difference) ** 2:
            return more
    return count + 10
