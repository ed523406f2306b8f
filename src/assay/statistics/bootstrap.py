"""The paired bootstrap of a ratio of sums: draw units with replacement, the same for both sides, and compute the ratio again.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. The plain percentile interval is too narrow where units
are few; the *expanded* one of Hesterberg (What Teachers Should Know about the Bootstrap, arXiv 1411.5279) takes percentiles so far out that
a normal bootstrap distribution gives the t interval. With thousands of units the two agree.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.statistics.interval import LEVEL, NORMAL, Interval, t_quantile, t_two_sided

Floats = npt.NDArray[np.float64]
CELLS = 1 << 16  # draws x units that are counted at once: what fits into a processor's cache


def resample_ratios(values: npt.ArrayLike, sizes: npt.ArrayLike, draws: int, generator: np.random.Generator) -> Floats:
    """Compute ratios sum v / sum n [draws, C] of `values` v [U, C] and `sizes` n [U], over U units drawn with replacement.

    A draw is how often each unit was taken, so all C columns see the same units, and column c of -v is exactly minus that of v.
    """
    columns = np.column_stack([np.asarray(values, dtype=np.float64), sizes])  # [U, C+1]
    units, rows = len(columns), max(1, CELLS // len(columns))
    sums = np.empty((draws, columns.shape[1]))
    for at in range(0, draws, rows):
        count = min(rows, draws - at)
        taken = generator.integers(units, size=(count, units)) + units * np.arange(count)[:, None]
        times = np.bincount(taken.ravel(), minlength=count * units).reshape(count, units)
        sums[at : at + count] = times.astype(np.float64) @ columns
    return sums[:, :-1] / sums[:, -1:]


def effective_units(sizes: npt.NDArray[Any]) -> float:
    """Compute how many units of one size would vary as much: (sum n)^2 / sum n^2 (Kish, Survey Sampling, 1965), never below 2.

    Where a few long documents hold most of the text, a ratio of sums hangs on those few.
    """
    return max(2.0, float(sizes.sum() ** 2 / np.square(sizes).sum()))


def percentile_interval(ratios: Floats, units: float) -> Interval:
    """Make the expanded percentile interval of resampled ratios [draws]; its p-value is that at which it would just reach 0.

    `units` is the effective number of them. The p-value cannot fall below about 2 / draws.
    """
    widen = math.sqrt(units / (units - 1))  # a bootstrap draw of U units varies as if the variance were divided by U and not U - 1
    tail = NORMAL.cdf(-widen * t_quantile((1 + LEVEL) / 2, units - 1))
    low, high = np.quantile(ratios, [tail, 1 - tail])
    below, above = np.count_nonzero(ratios <= 0), np.count_nonzero(ratios >= 0)
    share = (1 + min(below, above)) / (1 + len(ratios))
    probability = 1.0 if share >= 0.5 else t_two_sided(NORMAL.inv_cdf(share) / widen, units - 1)
    return Interval(float(low), float(high), probability)
