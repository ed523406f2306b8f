"""Seeds as their own variance, several comparisons at once, the sign test: against numbers worked by hand and printed examples."""

import math

import numpy as np
import pytest

from assay.statistics.interval import t_interval, t_quantile, t_two_sided, units_needed
from assay.statistics.seeds import SeedDifference, paired_difference, seeds_needed, welch_difference
from assay.statistics.significance import holm, sign_test


def test_welch_by_hand() -> None:
    found = welch_difference([1.0, 2.0, 3.0], [2.0, 4.0, 6.0, 8.0])  # variances 1 and 20/3: SE^2 = 1/3 + 5/3
    assert found.difference == -3.0
    assert found.standard_error == pytest.approx(math.sqrt(2))
    assert found.degrees_of_freedom == pytest.approx(4 / ((1 / 9) / 2 + (25 / 9) / 3))
    assert found.interval.high == pytest.approx(-3 + t_quantile(0.975, found.degrees_of_freedom) * math.sqrt(2))
    assert found.interval.p_value == pytest.approx(t_two_sided(3 / math.sqrt(2), found.degrees_of_freedom))


def test_pairs_by_hand() -> None:
    found = paired_difference([1.0, 2.0, 4.0], [0.5, 1.5, 2.0])  # 0.5, 0.5, 2
    assert (found.difference, found.degrees_of_freedom, found.paired) == (1.0, 2.0, True)
    assert found.standard_error == pytest.approx(math.sqrt(0.75 / 3))


def test_the_same_figures_differ_by_exactly_zero() -> None:
    for method in (welch_difference, paired_difference):
        found = method([1.5, 1.5], [1.5, 1.5])
        assert (found.difference, found.interval) == (0.0, (0.0, 0.0, 1.0))
        assert seeds_needed(found) is None


@pytest.mark.parametrize(("effect", "seeds"), [(1.0, 17), (2.0, 6), (3.0, 4), (0.5, 64)])
def test_the_seeds_needed_are_those_of_the_tables_of_power(effect: float, seeds: int) -> None:
    """Of the two-sample t test at 5 % with 80 % power, for a difference of so many standard deviations of one arm."""
    spread = math.sqrt(2)
    assert seeds_needed(SeedDifference(effect, 0.1, 4, t_interval(effect, 0.1, 4), spread, paired=False)) == seeds


def test_as_many_seeds_as_needed_find_the_difference_in_80_percent_of_studies() -> None:
    random, found = np.random.default_rng(0), 0
    for _ in range(400):
        a, b = random.normal(0, 1, 17), random.normal(1, 1, 17)
        found += welch_difference(a.tolist(), b.tolist()).interval.high < 0
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
