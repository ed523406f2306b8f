"""Seeds as their own variance, several comparisons at once, the sign test: against numbers worked by hand and printed examples."""

import math

import numpy as np
import pytest
from scipy import stats

from assay.statistics.interval import t_interval, t_quantile, t_two_sided, units_needed
from assay.statistics.seed_noise import SeedNoise
from assay.statistics.seeds import SeedDifference, compare_pairs, estimate_contrast, resolvable_difference, seeds_needed
from assay.statistics.significance import holm, sign_test
from support.two_arms import compare_two


def by_seed(*figures: float) -> dict[object, float]:
    return dict(enumerate(figures))


def test_two_arms_unpaired_are_compared_after_welch() -> None:
    found = compare_two(by_seed(1.0, 2.0, 3.0), by_seed(2.0, 4.0, 6.0, 8.0), paired=False)  # variances 1, 20/3: SE^2 = 1/3 + 5/3
    assert found.difference == pytest.approx(-3.0)
    assert found.standard_error == pytest.approx(math.sqrt(2))
    assert found.degrees_of_freedom == pytest.approx(4 / ((1 / 9) / 2 + (25 / 9) / 3))
    assert found.interval.high == pytest.approx(-3 + t_quantile(0.975, found.degrees_of_freedom) * math.sqrt(2))
    assert found.interval.p_value == pytest.approx(t_two_sided(3 / math.sqrt(2), found.degrees_of_freedom))


def test_two_arms_paired_are_compared_by_the_differences_of_equal_seeds() -> None:
    found = compare_two(by_seed(1.0, 2.0, 4.0), by_seed(0.5, 1.5, 2.0), paired=True)  # 0.5, 0.5, 2
    assert (found.difference, found.degrees_of_freedom) == (pytest.approx(1.0), pytest.approx(2.0))
    assert found.standard_error == pytest.approx(math.sqrt(0.75 / 3))


@pytest.mark.parametrize("paired", [False, True])
def test_the_same_figures_differ_by_zero(paired: bool) -> None:
    found = compare_two(by_seed(1.5, 1.5), by_seed(1.5, 1.5), paired=paired)
    assert found.difference == pytest.approx(0.0, abs=1e-12)
    assert found.interval.p_value == pytest.approx(1.0)


def test_a_contrast_of_four_arms_has_the_pooled_variance_with_weights_squared() -> None:
    """Figures +-1 about their means: variance 2 in each arm of two seeds, whatever the mean."""
    arms = [by_seed(mean - 1, mean + 1) for mean in (5.0, 1.0, 2.0, 3.0)]
    found = estimate_contrast(SeedNoise(arms, blocked=False), {0: 1.0, 1: -1.0, 2: -1.0, 3: 1.0})
    assert found.difference == pytest.approx(5.0)
    assert found.standard_error**2 == pytest.approx(4 * 2 / 2)
    assert found.degrees_of_freedom == pytest.approx(4)


def test_pairs_with_one_base_get_the_p_values_of_dunnett() -> None:
    """Those of scipy, for arms without blocks whose variances are equal; turned into normal points, they are a little too large."""
    shape = np.array([-1.0, 0.0, 1.0])
    arms = [shape + mean for mean in (0.0, 1.0, 2.0, 3.5)]
    noise = SeedNoise([by_seed(*arm.tolist()) for arm in arms], blocked=False)
    found = compare_pairs(noise, [(0, 1), (0, 2), (0, 3)])
    expected = stats.dunnett(*arms[1:], control=arms[0], random_state=0)
    assert [one.adjusted_p_value for one in found] == pytest.approx(expected.pvalue.tolist(), abs=0.03)
    limits = expected.confidence_interval(0.95)
    for one, low, high in zip(found, limits.low, limits.high, strict=True):
        assert (-one.estimate.interval.high, -one.estimate.interval.low) == pytest.approx((low, high), abs=0.15)


def test_all_pairs_are_corrected_after_holm() -> None:
    noise = SeedNoise([by_seed(*row) for row in ((1.0, 1.2), (1.5, 1.4), (2.0, 2.1))], blocked=False)
    pairs = [(0, 1), (0, 2), (1, 2)]
    alone = [estimate_contrast(noise, {a: 1.0, b: -1.0}).interval.p_value for a, b in pairs]
    assert [one.adjusted_p_value for one in compare_pairs(noise, pairs)] == pytest.approx(holm(alone))


def test_the_difference_that_seeds_resolve_shrinks_with_the_seeds_of_both_sides() -> None:
    assert resolvable_difference(0.01, 3, 1) == pytest.approx(0.01 * (1.95996 + 0.84162) * math.sqrt(2 / 3), rel=1e-4)
    assert resolvable_difference(0.01, 3, 1, base_seeds=9) < resolvable_difference(0.01, 3, 1) < resolvable_difference(0.01, 3, 39)


@pytest.mark.parametrize(("effect", "seeds"), [(1.0, 17), (2.0, 6), (3.0, 4), (0.5, 64)])
def test_the_seeds_needed_are_those_of_the_tables_of_power(effect: float, seeds: int) -> None:
    """Of the two-sample t test at 5 % with 80 % power, for a difference of so many standard deviations of one arm."""
    error = math.sqrt(2 / 3)  # of three seeds, with 4 degrees of freedom
    assert seeds_needed(SeedDifference(effect, error, 4, t_interval(effect, error, 4), seeds=3)) == seeds


def test_as_many_seeds_as_needed_find_the_difference_in_80_percent_of_studies() -> None:
    random, found = np.random.default_rng(0), 0
    for _ in range(400):
        a, b = random.normal(0, 1, 17), random.normal(1, 1, 17)
        found += compare_two(by_seed(*a.tolist()), by_seed(*b.tolist()), paired=False).interval.high < 0
    assert found / 400 == pytest.approx(0.8, abs=0.05)


def test_units_needed_grow_with_the_square_of_the_error_and_with_the_family() -> None:
    assert units_needed(0.0, 0.1, 100) is None
    assert units_needed(0.28, 0.1, 100) == pytest.approx(100, abs=1)  # 1.96 + 0.84 standard errors: just enough
    assert units_needed(0.14, 0.1, 100) == pytest.approx(400, abs=2)
    assert (units_needed(0.14, 0.1, 100, comparisons=3) or 0) > 500


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_the_sign_test_is_the_exact_binomial_and_leaves_ties_out() -> None:
    assert sign_test(np.array([-1.0, -2.0, -0.1, 0.0, 3.0])) == (3, 1, 1, pytest.approx(2 * 5 / 16))
    assert sign_test(np.zeros(7)) == (0, 0, 7, 1.0)
    assert sign_test(np.array([1.0] * 10)).p_value == pytest.approx(2 / 1024)
    assert sign_test(np.array([-1.0, 1.0] * 500)).p_value == 1.0
