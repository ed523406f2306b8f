"""Intervals and probabilities of a difference by Student's t, and how many units would be needed to find it."""

import math
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

from scipy import special

LEVEL = 0.95
POWER = 0.8  # probability with which `units_needed` units, or seeds, find the difference
NORMAL = NormalDist()
NORMAL_FROM = 1e5  # degrees of freedom beyond which the normal distribution stands for t: their 97.5 % points agree to 1.2e-5 parts


class Interval(NamedTuple):
    """A range that covers the truth in LEVEL of all studies."""

    low: float
    high: float
    p_value: float  # probability of a difference as far from 0 as this one if the truth is 0

    @property
    def half_width(self) -> float:
        """Half of the width."""
        return (self.high - self.low) / 2


def t_interval(difference: float, standard_error: float, degrees_of_freedom: float, level: float = LEVEL) -> Interval:
    """Make the interval of Student's t around a difference with this standard error and these degrees of freedom."""
    if standard_error == 0:
        return Interval(difference, difference, 1.0 if difference == 0 else 0.0)
    half = t_quantile((1 + level) / 2, degrees_of_freedom) * standard_error
    return Interval(difference - half, difference + half, t_two_sided(difference / standard_error, degrees_of_freedom))


def units_needed(difference: float, standard_error: float, units: int, comparisons: float = 1) -> int | None:
    """Estimate how many units find a true difference of this size in POWER of all studies, if `units` of them have this standard error.

    N = units (z_(1 - alpha/2m) + z_power)^2 SE^2 / difference^2, m the comparisons in the family. None: there is no difference.
    """
    if difference == 0:
        return None
    reach = NORMAL.inv_cdf(1 - (1 - LEVEL) / (2 * comparisons)) + NORMAL.inv_cdf(POWER)
    return math.ceil(units * (reach * standard_error / difference) ** 2)


def t_two_sided(t: float, degrees_of_freedom: float) -> float:
    """Compute P(|T| > |t|) of Student's t, T with v degrees of freedom, which need not be whole."""
    if degrees_of_freedom > NORMAL_FROM or math.isinf(t):
        return math.erfc(abs(t) / math.sqrt(2))
    return 2 * float(special.stdtr(degrees_of_freedom, -abs(t)))


@cache
def t_quantile(share: float, degrees_of_freedom: float) -> float:
    """Compute the t below which T lies with probability `share`."""
    if degrees_of_freedom > NORMAL_FROM:
        return NORMAL.inv_cdf(share)
    return float(special.stdtrit(degrees_of_freedom, share))
