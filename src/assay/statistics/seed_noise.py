"""How much runs of one configuration differ by their seeds, estimated over all arms of a study together.

Model: y_as = mean_a + block_s + e_as, with e_as of variance v_a. What a seed does to all arms, such as the order of the data, is its block.
Three seeds say next to nothing on the variance of one arm, so arms borrow from each other. With s2_a an arm's own variance on d_a degrees
of freedom and s2 the pooled one, the moderated variance is

    v_a = (d_0 s2 + d_a s2_a) / (d_0 + d_a)   on d_0 + d_a degrees of freedom.

Source: Smyth, Linear models and empirical Bayes methods (2004), as in limma. d_0 comes from how unequal the s2_a are: with T = mean(s2_a^2)
/ mean(s2_a)^2, and r = T over what equal variances give, variances with an inverse-gamma prior have r = (d_0 - 2) / (d_0 - 4). Ours
differs from limma, which estimates d_0 from logarithms, in which small variances count most: here large ones do. The pooled variance
is the prior's mean, so it also covers the noisy arms.

An arm with a variance beyond the others' (F test at SUSPICIOUS) is judged mostly by its own: d_0 is then at most LITTLE. It takes more
seeds to find a difference there. Both figures were chosen by simulation, see docs/study-statistics.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
SUSPICIOUS = 0.1
LITTLE = 2.0  # degrees of freedom that a suspicious arm borrows
ROUNDING = 1e-12  # of the largest figure
MAX_RATIO = 1e6  # of the variance of blocks to that of runs: beyond it equations cannot be solved to enough digits
FEWEST = 3  # arms of which one can be called noisier than the others


@dataclass(frozen=True, eq=False)
class Variances:
    """The variance of a run's figure over seeds, by arm [A]."""

    pooled: float
    pooled_freedom: float
    values: Floats  # v_a
    freedom: Floats  # degrees of freedom of v_a
    borrowed: npt.NDArray[np.bool_]  # whether v_a is an estimate that all such arms share
    suspicious: npt.NDArray[np.bool_]


def moderate(own: Floats, own_freedom: Floats, pooled: float, pooled_freedom: float) -> Variances:
    """Moderate variances [A] of arms towards the pooled one."""
    prior = _prior_freedom(own, own_freedom)
    suspicious = _find_suspicious(own, own_freedom, pooled, pooled_freedom)
    weight = np.where(suspicious, min(prior, LITTLE), prior)  # d_0
    whole = np.isinf(weight)
    finite = np.where(whole, 1.0, weight)
    values = np.where(whole, pooled, (finite * pooled + own_freedom * own) / (finite + own_freedom))
    freedom = np.where(whole, pooled_freedom, np.minimum(finite + own_freedom, pooled_freedom))
    return Variances(pooled, pooled_freedom, values, freedom, whole, suspicious)


def _prior_freedom(own: Floats, freedom: Floats) -> float:
    """Estimate d_0 from how unequal variances are; infinite where they are no more so than equal ones would look."""
    known = freedom > 0
    count, half = int(known.sum()), float(freedom[known].mean()) / 2 if known.any() else 0.0
    mean = float(own[known].mean()) if count else 0.0
    if count < FEWEST or mean == 0:
        return np.inf
    expected = count * (half + 1) / (count * half + 1)  # of T: the s2_a of equal variances are gamma distributed
    excess = float(np.square(own[known]).mean()) / mean**2 / expected
    return np.inf if excess <= 1 else (4 * excess - 2) / (excess - 1)


def _find_suspicious(own: Floats, freedom: Floats, pooled: float, pooled_freedom: float) -> npt.NDArray[np.bool_]:
    """Find the arms whose variance lies beyond that of the others."""
    rest = pooled_freedom - freedom
    testable = (freedom > 0) & (rest > 0) & (len(own) >= FEWEST)
    others = (pooled * pooled_freedom - own * freedom) / np.where(testable, rest, 1.0)
    ratio = own / np.maximum(others, 1e-300)
    beyond = 1 - special.fdtr(np.where(testable, freedom, 1.0), np.where(testable, rest, 1.0), ratio)
    found: npt.NDArray[np.bool_] = testable & (own > others) & (beyond < SUSPICIOUS)
    return found


class SeedNoise:
    """The means of arms and the variances of their runs, from the figures of arms by seed."""

    def __init__(self, figures: Sequence[Mapping[object, float]], *, blocked: bool) -> None:
        self.figures = figures
        self.values = np.array([value for arm in figures for value in arm.values()])  # [N] runs
        self.arm_of = np.repeat(np.arange(len(figures)), [len(arm) for arm in figures])  # [N]
        seeds = list(dict.fromkeys(seed for arm in figures for seed in arm))
        place = [seeds.index(seed) for arm in figures for seed in arm]
        self.in_arm = np.eye(len(figures))[self.arm_of]  # [N, A]
        blocks = np.eye(len(seeds))[place]
        self.blocked = blocked and np.linalg.matrix_rank(np.hstack([self.in_arm, blocks])) < len(
            place
        )  # else nothing is left to measure by
        self.in_block = blocks if self.blocked else blocks[:, :0]  # [N, S]

    @property
    def rounding(self) -> float:
        """Below what a difference is an error of rounding."""
        return ROUNDING * float(np.abs(self.values).max(initial=0.0))

    @cached_property
    def variances(self) -> Variances:
        """The moderated variances; all of them zero where no arm has two runs that tell."""
        residual_maker = _residual_maker(np.hstack([self.in_arm, self.in_block]))
        freedom = float(np.trace(residual_maker))
        zeros = np.zeros(len(self.figures))
        if freedom < 0.5:
            return Variances(0.0, 0.0, zeros, zeros, zeros < 0, zeros < 0)
        residuals = residual_maker @ self.values
        residuals[np.abs(residuals) < self.rounding] = 0.0
        pooled = float(residuals @ residuals) / freedom
        sums = np.square(residuals) @ self.in_arm  # [A]
        shares = self.in_arm.T @ np.square(residual_maker) @ self.in_arm  # [A, A]: E sums_a = sum_b shares_ab v_b
        own_freedom = np.diag(residual_maker) @ self.in_arm
        own_freedom[own_freedom < 1e-9] = 0.0
        diagonal = np.diag(shares)
        told = own_freedom > 0
        own = np.where(told, (sums - pooled * (shares.sum(axis=1) - diagonal)) / np.where(told, diagonal, 1.0), pooled)
        if len(self.figures) == 2 and not self.blocked and min(own_freedom) > 0:  # Welch
            return Variances(pooled, freedom, own, own_freedom, own < 0, own < 0)
        return moderate(np.maximum(own, 0.0), own_freedom, pooled, freedom)

    @cached_property
    def block_variance(self) -> float:
        """The variance of what a seed does to all arms; it cancels wherever two arms have the same seeds."""
        alone = _residual_maker(self.in_arm)
        trace = float(np.trace(self.in_block.T @ alone @ self.in_block))
        if trace < 1e-9:
            return 0.0
        added = float(self.values @ alone @ self.values) - self.variances.pooled * self.variances.pooled_freedom
        return max(0.0, added - self.variances.pooled * (float(np.trace(alone)) - self.variances.pooled_freedom)) / trace

    @cached_property
    def weights(self) -> Floats:
        """The weights [A, N] that make the arms' means of the runs: generalised least squares with blocks as random."""
        ratio = min(MAX_RATIO, self.block_variance / self.variances.pooled) if self.variances.pooled > 0 else 0.0
        covariance = np.eye(len(self.values)) + ratio * self.in_block @ self.in_block.T
        solved = np.linalg.solve(covariance, self.in_arm)  # [N, A]
        weights: Floats = np.linalg.solve(self.in_arm.T @ solved, solved.T)
        return weights


def _residual_maker(design: Floats) -> Floats:
    """Make the matrix that leaves of figures [N] what a design [N, P] does not explain."""
    left, singular, _ = np.linalg.svd(design, full_matrices=False)
    basis = left[:, singular > 1e-9 * singular.max(initial=1.0)]
    maker: Floats = np.eye(len(design)) - basis @ basis.T
    return maker
