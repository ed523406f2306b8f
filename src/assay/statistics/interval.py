"""Intervals and probabilities of a difference by Student's t, and how many units would be needed to find it."""

import math
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

LEVEL = 0.95
POWER = 0.8  # probability with which `units_needed` units, or seeds, find the difference
NORMAL = NormalDist()
NORMAL_FROM = 1e5  # degrees of freedom beyond which the normal distribution stands for t: their 97.5 % points agree to 1.2e-5 parts
STEPS, PRECISION = 100, 1e-13


class Interval(NamedTuple):
    """A range that covers the truth in LEVEL of all studies."""

    low: float
    high: float
    p_value: float  # probability of a difference as far from 0 as this one if the truth is 0

    @property
    def half_width(self) -> float:
        """Half of the width."""
        return (self.high - self.low) / 2


def t_interval(difference: float, standard_error: float, degrees_of_freedom: float) -> Interval:
    """Make the interval of Student's t around a difference with this standard error and these degrees of freedom."""
    if standard_error == 0:
        return Interval(difference, difference, 1.0 if difference == 0 else 0.0)
    half = t_quantile((1 + LEVEL) / 2, degrees_of_freedom) * standard_error
    return Interval(difference - half, difference + half, t_two_sided(difference / standard_error, degrees_of_freedom))


def units_needed(difference: float, standard_error: float, units: int, comparisons: int = 1) -> int | None:
    """Estimate how many units find a true difference of this size in POWER of all studies, if `units` of them have this standard error.

    N = units (z_(1 - alpha/2m) + z_power)^2 SE^2 / difference^2, m the comparisons in the family. None: there is no difference.
    """
    if difference == 0:
        return None
    reach = NORMAL.inv_cdf(1 - (1 - LEVEL) / (2 * comparisons)) + NORMAL.inv_cdf(POWER)
    return math.ceil(units * (reach * standard_error / difference) ** 2)


def t_two_sided(t: float, degrees_of_freedom: float) -> float:
    """Compute P(|T| > |t|) of Student's t, T with v degrees of freedom, which need not be whole: I_x(v/2, 1/2), x = v / (v + t^2)."""
    if degrees_of_freedom > NORMAL_FROM or math.isinf(t):
        return math.erfc(abs(t) / math.sqrt(2))
    return incomplete_beta(degrees_of_freedom / (degrees_of_freedom + t * t), degrees_of_freedom / 2, 0.5)


@cache
def t_quantile(share: float, degrees_of_freedom: float) -> float:
    """Compute the t below which T lies with probability `share`, which is at least 1/2.

    By Newton's method from the normal distribution's point, which lies below: P(T > t) is convex there, so that no step overshoots.
    """
    t = NORMAL.inv_cdf(share)
    if degrees_of_freedom > NORMAL_FROM:
        return t
    log_scale = math.lgamma((degrees_of_freedom + 1) / 2) - math.lgamma(degrees_of_freedom / 2)
    scale = math.exp(log_scale) / math.sqrt(degrees_of_freedom * math.pi)
    for _ in range(STEPS):
        density = scale * (1 + t * t / degrees_of_freedom) ** (-(degrees_of_freedom + 1) / 2)
        step = (t_two_sided(t, degrees_of_freedom) / 2 - (1 - share)) / density
        t += step
        if abs(step) <= PRECISION * t:
            break
    return t


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Compute the regularised incomplete beta function I_x(a, b), 0 at x = 0 and 1 at x = 1, by a continued fraction.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.1 and 26.5.8.
    """
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on one side of this only
        return 1 - incomplete_beta(1 - x, b, a)
    scale = math.exp(a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)) / a
    fraction = 0.0
    for m in range(50 + round(5 * math.sqrt(a + b)), 0, -1):  # from the last term to the first
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        fraction = odd / (1 + even / (1 + fraction))
    return scale / (1 + fraction)
