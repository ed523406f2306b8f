"""Differences between the means of configurations over seeds, with their intervals.

Never by resampling: a bootstrap of three seeds can only draw the same three figures again. The variances are those of `seed_noise`,
moderated over all arms that are compared; comparisons with one base are corrected together after Dunnett, others after Holm.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from assay.statistics.dunnett import adjust_for_base, single_level
from assay.statistics.interval import LEVEL, NORMAL, POWER, Interval, t_interval, t_quantile, units_needed
from assay.statistics.seed_noise import SeedNoise
from assay.statistics.significance import holm

MANY_SEEDS = 1000  # seeds, of which t asks for less than 1 % more than the normal distribution


class SeedDifference(NamedTuple):
    """A difference of means over seeds, or another weighted sum of the means of arms."""

    difference: float
    standard_error: float
    degrees_of_freedom: float
    interval: Interval
    seeds: int  # the fewest that an arm of it has
    base_share: float = 0.0  # part of the variance that is of the first arm, which comparisons of a family share

    @property
    def spread(self) -> float:
        """The standard deviation of one seed's difference, which decides how many seeds are needed."""
        return self.standard_error * math.sqrt(self.seeds)


@dataclass(frozen=True)
class AdjustedDifference:
    """A difference among others that were compared at the same time."""

    estimate: SeedDifference  # its interval covers together with those of the family
    adjusted_p_value: float
    seeds_needed: int | None  # of each arm; None: no number would do
    suspicious: tuple[int, ...]  # its arms that scatter more than the others


def estimate_contrast(noise: SeedNoise, weights: Mapping[int, float], level: float = LEVEL) -> SeedDifference:
    """Compute a weighted sum of the means of arms: a difference, a main effect, an interaction. At least two seeds each.

    c = sum w_a mean_a, of which run i has the weight u_i. SE^2 = sum u_i^2 v_a(i) + sum over blocks (sum of the u_i in it)^2 v_block, with
    Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946) over the independent estimates of variance in it.
    """
    arm_weights = np.array([weights.get(arm, 0.0) for arm in range(len(noise.figures))])
    run_weights = arm_weights @ noise.weights  # [N]
    variances = noise.variances
    parts = variances.values * (np.square(run_weights) @ noise.in_arm)  # [A]
    block_part = noise.block_variance * float(np.square(run_weights @ noise.in_block).sum()) if noise.blocked else 0.0
    groups = [(float(parts[variances.borrowed].sum()), variances.pooled_freedom)]
    groups += zip(parts[~variances.borrowed].tolist(), variances.freedom[~variances.borrowed].tolist(), strict=True)
    groups.append((block_part, max(1.0, noise.in_block.shape[1] - 1.0)))
    total = float(parts.sum()) + block_part
    below = sum(part**2 / freedom for part, freedom in groups if part > 0 and freedom > 0)
    freedom = min(total**2 / below, variances.pooled_freedom) if below > 0 else variances.pooled_freedom
    difference, error = float(run_weights @ noise.values), math.sqrt(total)
    difference = 0.0 if abs(difference) < noise.rounding else difference
    first = next(iter(weights))
    seeds = min(len(noise.figures[arm]) for arm in weights)
    share = (float(parts[first]) + block_part) / total if total > 0 else 0.0
    return SeedDifference(difference, error, freedom, t_interval(difference, error, freedom, level), seeds, share)


def compare_pairs(noise: SeedNoise, pairs: Sequence[tuple[int, int]]) -> list[AdjustedDifference]:
    """Compare pairs of arms, a - b, corrected together: after Dunnett where all have the first arm in common, else after Holm.

    Intervals hold all together; after Holm they are Bonferroni's. Source: Dunnett, JASA 50 (1955); Holm (1979).
    """
    estimates = [estimate_contrast(noise, {a: 1.0, b: -1.0}) for a, b in pairs]
    p_values, shares = [one.interval.p_value for one in estimates], [one.base_share for one in estimates]
    if len({a for a, _ in pairs}) == 1:
        adjusted = adjust_for_base(p_values, shares) if len(pairs) > 1 else p_values
        alone = single_level(LEVEL, shares) if len(pairs) > 1 else 1 - LEVEL
    else:
        adjusted, alone = holm(p_values), (1 - LEVEL) / max(1, len(pairs))
    suspicious = noise.variances.suspicious
    return [
        AdjustedDifference(
            one._replace(interval=t_interval(one.difference, one.standard_error, one.degrees_of_freedom, 1 - alone)),
            p_value,
            seeds_needed(one, alone) if p_value >= 1 - LEVEL else None,
            tuple(arm for arm in pair if suspicious[arm]),
        )
        for one, p_value, pair in zip(estimates, adjusted, pairs, strict=True)
    ]


def seeds_needed(difference: SeedDifference, alpha: float = 1 - LEVEL) -> int | None:
    """Estimate how many seeds per arm find a true difference of this size in POWER of all studies; None: no number would.

    The least n with n >= (t_(1 - alpha/2) + t_power)^2 spread^2 / difference^2, alpha that of a single comparison; degrees of freedom grow
    with the seeds. More than there are, as these few had bad luck.
    """
    share = round((1 - LEVEL) / alpha, 9)
    count = units_needed(difference.difference, difference.spread, 1, share)
    if count is None or count > MANY_SEEDS:
        return count
    have = difference.seeds
    for more in range(max(2, count), count + 10):  # t asks for a few more than the normal distribution
        freedom = difference.degrees_of_freedom * (more - 1) / max(1, have - 1)
        reach = t_quantile(1 - alpha / 2, freedom) + t_quantile(POWER, freedom)
        if more >= (reach * difference.spread / difference.difference) ** 2:
            return max(more, have + 1)
    return max(count + 10, have + 1)


def resolvable_difference(deviation: float, seeds: int, comparisons: int, base_seeds: int | None = None) -> float:
    """Compute from which size differences are found in POWER of studies, for runs that scatter by `deviation` of their own.

    (z_(1 - alpha/2m) + z_power) deviation sqrt(1/seeds + 1/base_seeds).
    """
    reach = NORMAL.inv_cdf(1 - (1 - LEVEL) / (2 * max(1, comparisons))) + NORMAL.inv_cdf(POWER)
    return reach * deviation * math.sqrt(1 / seeds + 1 / (base_seeds or seeds))
