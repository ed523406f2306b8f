"""The noise of seeds over all arms together: against formulas worked by hand, and where it must fall back."""

import numpy as np
import pytest

from assay.statistics.seed_noise import SeedNoise, moderate


def arms_of(table: np.ndarray) -> list[dict[object, float]]:
    """Figures [A, S] as arms by seed."""
    return [dict(enumerate(row)) for row in table.tolist()]


def test_with_blocks_the_pooled_variance_is_the_residual_of_a_two_way_table() -> None:
    table = np.random.default_rng(0).normal(size=(5, 3))
    residual = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    found = SeedNoise(arms_of(table), blocked=True).variances
    assert found.pooled_freedom == pytest.approx(8)
    assert found.pooled == pytest.approx(np.square(residual).sum() / 8)


def test_what_a_seed_does_to_every_arm_changes_neither_variances_nor_differences() -> None:
    table = np.random.default_rng(1).normal(size=(6, 3))
    shifted = SeedNoise(arms_of(table + np.array([0.0, 5.0, -7.0])), blocked=True)
    plain = SeedNoise(arms_of(table), blocked=True)
    assert shifted.variances.values == pytest.approx(plain.variances.values)
    differences = [(noise.weights @ noise.values)[1:] - (noise.weights @ noise.values)[0] for noise in (shifted, plain)]
    assert differences[0] == pytest.approx(differences[1])


def test_a_missing_run_takes_its_block_from_the_other_arms() -> None:
    """The mean of an arm that lacks an easy seed is not made worse by it."""
    table = np.random.default_rng(2).normal(0, 0.01, size=(8, 4)) + np.array([0.0, 0.0, 0.0, -3.0])
    arms = arms_of(table)
    del arms[2][3]
    noise = SeedNoise(arms, blocked=True)
    means = noise.weights @ noise.values
    assert means[2] - means[0] == pytest.approx(0.0, abs=0.05)
    assert np.mean(list(arms[2].values())) - np.mean(list(arms[0].values())) > 0.7


def test_further_seeds_of_the_base_make_its_mean_more_certain() -> None:
    random = np.random.default_rng(3)
    table = random.normal(0, 1, size=(6, 3))
    arms = arms_of(table)
    further = [arms[0] | {seed: float(random.normal()) for seed in range(3, 9)}, *arms[1:]]
    spread = [np.square(SeedNoise(one, blocked=True).weights[0]).sum() for one in (arms, further)]
    assert spread[1] < spread[0]


def test_equal_variances_are_pooled_and_unequal_ones_keep_more_of_their_own() -> None:
    freedom = np.full(40, 2.0)
    equal = moderate(np.random.default_rng(0).exponential(1.0, 40), freedom, 1.0, 80.0)
    assert equal.values[~equal.suspicious] == pytest.approx(1.0, abs=0.35)
    wide = np.random.default_rng(0).exponential(1.0, 40)
    wide[:6] = 30.0
    pooled = float(wide.mean())
    unequal = moderate(wide, freedom, pooled, 80.0)
    assert unequal.suspicious[:6].all()
    assert (unequal.values[:6] > 1.5 * pooled).all()
    assert (unequal.freedom[:6] <= 4.0).all()


def test_among_two_arms_none_is_suspicious() -> None:
    noise = SeedNoise(arms_of(np.array([[1.0, 1.0, 1.0], [1.0, 9.0, 5.0]])), blocked=True)
    assert not noise.variances.suspicious.any()


def test_arms_without_a_seed_in_common_have_no_blocks() -> None:
    noise = SeedNoise([{0: 1.0, 1: 1.1}, {2: 2.0, 3: 2.2}], blocked=True)
    assert not noise.blocked
    assert noise.variances.pooled_freedom == pytest.approx(2)


def test_single_runs_say_nothing_of_seeds_unless_another_arm_has_several() -> None:
    assert SeedNoise([{0: 1.0}, {0: 2.0}], blocked=True).variances.pooled_freedom == 0
    placed = SeedNoise([{0: 1.0, 1: 1.2, 2: 1.4}, {0: 2.0}], blocked=True).variances
    assert placed.values == pytest.approx([0.04, 0.04])
