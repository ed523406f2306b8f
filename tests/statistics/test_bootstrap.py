"""The paired bootstrap: what it draws, its interval, its speed."""

import time

import numpy as np
import pytest

from assay.statistics.bootstrap import effective_units, percentile_interval, resample_ratios
from assay.statistics.interval import t_interval


def data(units: int, columns: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    sizes = random.lognormal(4, 0.8, units).astype(int) + 1
    return random.normal(0.02, 0.3, (units, columns)) * sizes[:, None], sizes


def test_nothing_resampled_is_exactly_nothing() -> None:
    _, sizes = data(50)
    ratios = resample_ratios(np.zeros((50, 1)), sizes, 500, np.random.default_rng(0))
    interval = percentile_interval(ratios[:, 0], 50)
    assert interval == (0.0, 0.0, 1.0)


def test_each_draw_is_a_ratio_of_sums_over_units_drawn_with_replacement() -> None:
    values, sizes = np.array([[1.0], [10.0]]), np.array([1, 4])
    ratios = resample_ratios(values, sizes, 4000, np.random.default_rng(0))[:, 0]
    found, times = np.unique(ratios.round(12), return_counts=True)
    assert found.tolist() == [1.0, 2.2, 2.5]  # both the first; one of each: 11 / 5; both the second
    assert times / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_turning_a_difference_round_turns_its_draws_and_its_interval_round() -> None:
    values, sizes = data(80)
    there, back = (resample_ratios(sign * values, sizes, 999, np.random.default_rng(3))[:, 0] for sign in (1, -1))
    assert np.array_equal(there, -back)
    one, other = percentile_interval(there, 80), percentile_interval(back, 80)
    assert (one.low, one.high, one.p_value) == pytest.approx((-other.high, -other.low, other.p_value), abs=1e-12)


def test_all_columns_see_the_same_draws() -> None:
    values, sizes = data(40)
    ratios = resample_ratios(np.hstack([values, 2 * values]), sizes, 300, np.random.default_rng(0))
    assert ratios[:, 1] == pytest.approx(2 * ratios[:, 0], rel=1e-12)


@pytest.mark.parametrize("units", [12, 30, 400])
def test_units_of_one_size_and_normal_differences_give_about_the_t_interval(units: int) -> None:
    values = np.random.default_rng(units).normal(0.1, 1, (units, 1))
    found = percentile_interval(resample_ratios(values, np.ones(units), 20_000, np.random.default_rng(0))[:, 0], units)
    exact = t_interval(float(values.mean()), float(values.std(ddof=1)) / units**0.5, units - 1)
    assert found.half_width == pytest.approx(exact.half_width, rel=0.06)
    assert found.p_value == pytest.approx(exact.p_value, abs=0.03)


def test_the_probability_is_below_5_percent_where_the_interval_leaves_0_out() -> None:
    for shift in np.linspace(-0.2, 0.2, 21):
        ratios = np.random.default_rng(0).normal(shift, 0.05, 5000)
        found = percentile_interval(ratios, 60)
        outside = found.low > 0 or found.high < 0
        assert outside == (found.p_value < 0.05) or found.p_value == pytest.approx(0.05, abs=0.005)


def test_31000_documents_are_drawn_10000_times_in_under_5_seconds_of_one_core() -> None:
    values, sizes = data(31_000)
    begin = time.process_time()
    percentile_interval(resample_ratios(values, sizes, 10_000, np.random.default_rng(0))[:, 0], 31_000)
    assert time.process_time() - begin < 5


def test_effective_units_are_the_units_where_all_have_one_size_and_fewer_where_not() -> None:
    assert effective_units(np.full(40, 7)) == pytest.approx(40)
    assert effective_units(np.array([100, 1, 1])) == 2.0
    assert effective_units(np.array([1, 2, 3])) == pytest.approx(36 / 14)
