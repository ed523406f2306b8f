"""An interval for a difference, the probability that goes with it, and how much more would have to be seen."""

import math
from statistics import NormalDist
from typing import NamedTuple

from assay.statistics.student import quantile, two_sided

LEVEL = 0.95
POWER = 0.8  # with which the difference is to be found by as many units or seeds as are said to be needed
NORMAL = NormalDist()


class Interval(NamedTuple):
    """Covers the truth in LEVEL of all studies; `probability`: of a difference as far from 0 as this one if the truth is 0."""

    low: float
    high: float
    probability: float

    @property
    def half(self) -> float:
        """Half of its width."""
        return (self.high - self.low) / 2


def student(difference: float, error: float, freedom: float) -> Interval:
    """The interval of Student's t around a difference with this standard error and these degrees of freedom."""
    if error == 0:
        return Interval(difference, difference, 1.0 if difference == 0 else 0.0)
    half = quantile((1 + LEVEL) / 2, freedom) * error
    return Interval(difference - half, difference + half, two_sided(difference / error, freedom))


def units_needed(difference: float, error: float, units: int, family: int = 1) -> int | None:
    """About how many units find a true difference of this size in POWER of all studies, if U = `units` of them have this standard error.

    N = U (z_(1 - alpha/2m) + z_power)^2 SE^2 / difference^2, m the comparisons in the family. None where no number would: no difference.
    """
    if difference == 0:
        return None
    reach = NORMAL.inv_cdf(1 - (1 - LEVEL) / (2 * family)) + NORMAL.inv_cdf(POWER)
    return math.ceil(units * (reach * error / difference) ** 2)
