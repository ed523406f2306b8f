"""Student's t distribution: its tail by the regularised incomplete beta function, its quantile by Newton's method.

With v degrees of freedom P(|T| > t) = I_x(v/2, 1/2), where x = v / (v + t^2); I_x is a continued fraction. Source: Abramowitz and Stegun,
Handbook of Mathematical Functions, 26.7.1 and 26.5.8.
"""

import math
from functools import cache
from statistics import NormalDist

NORMAL = 1e5  # degrees of freedom beyond which the normal distribution stands for t: their 97.5 % points agree to 1.2e-5 parts
STEPS, PRECISION = 100, 1e-13


def two_sided(t: float, freedom: float) -> float:
    """P(|T| > |t|); `freedom`, the degrees of freedom, need not be whole."""
    if freedom > NORMAL or math.isinf(t):
        return math.erfc(abs(t) / math.sqrt(2))
    return incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


@cache
def quantile(share: float, freedom: float) -> float:
    """The t below which T lies with probability `share`, which is at least 1/2.

    By Newton's method from the normal distribution's point, which lies below: P(T > t) is convex there, so that no step overshoots.
    """
    t = NormalDist().inv_cdf(share)
    if freedom > NORMAL:
        return t
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    for _ in range(STEPS):
        density = scale * (1 + t * t / freedom) ** (-(freedom + 1) / 2)
        step = (two_sided(t, freedom) / 2 - (1 - share)) / density
        t += step
        if abs(step) <= PRECISION * t:
            break
    return t


def incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), regularised: 0 at x = 0, 1 at x = 1."""
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
