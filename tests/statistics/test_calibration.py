"""The methods themselves, measured: how often they cry wolf where nothing is there, and how often they find what is."""

import numpy as np
import pytest

from assay.statistics.bootstrap import effective_units, percentile_interval, resample_ratios
from assay.statistics.seeds import compare_two

STUDIES = 1000
TOLERANCE = 0.02  # of a rate: nearly three standard deviations of 5 % in 1,000 studies


def documents(random: np.random.Generator, units: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Bits that one model needs more than another in each document, and its bytes: heavy-tailed sizes, difficulty that both share.

    The difference is one of two large numbers, varies more in harder documents, has outliers, and is nothing on average over bytes.
    """
    sizes = np.ceil(random.lognormal(4.5, spread, units))
    difficulty = random.lognormal(0.6, 0.3, units)  # bits per byte of both
    a, b = (difficulty * (1 + 0.05 * random.standard_t(5, units) + random.normal(0, 0.3, units) / np.sqrt(sizes)) for _ in range(2))
    return (a - b) * sizes, sizes


def share_excluding_zero(units: int, spread: float, planted: float = 0.0) -> float:
    """In how many of the studies the interval leaves 0 out; planted: a true difference in units of the true standard error."""
    random, found = np.random.default_rng(units), 0
    error = np.std([values.sum() / sizes.sum() for values, sizes in (documents(random, units, spread) for _ in range(2000))])
    for _ in range(STUDIES):
        values, sizes = documents(random, units, spread)
        ratios = resample_ratios((values + planted * error * sizes)[:, None], sizes, 500, random)
        interval = percentile_interval(ratios[:, 0], effective_units(sizes))
        found += interval.low > 0 or interval.high < 0
    return found / STUDIES


@pytest.mark.parametrize(("units", "spread"), [(30, 0.0), (30, 1.0), (200, 1.0)])
def test_where_there_is_no_difference_the_interval_excludes_0_in_5_percent_of_studies(units: int, spread: float) -> None:
    assert share_excluding_zero(units, spread) == pytest.approx(0.05, abs=TOLERANCE)


def test_a_difference_of_2_standard_errors_is_found_in_half_of_the_studies() -> None:
    assert share_excluding_zero(300, 0.6, planted=2.0) == pytest.approx(0.516, abs=0.05)  # P(|Z + 2| > 1.96)


def by_seed(figures: np.ndarray) -> dict[object, float]:
    return dict(enumerate(figures.tolist()))


@pytest.mark.parametrize("paired", [False, True])
def test_seeds_that_do_not_differ_are_called_different_in_5_percent_of_studies(paired: bool) -> None:
    random = np.random.default_rng(0)
    found = 0
    for _ in range(STUDIES):
        interval = compare_two(by_seed(random.normal(1, 0.01, 4)), by_seed(random.normal(1, 0.02, 4)), paired=paired).interval
        found += interval.p_value < 0.05
    assert found / STUDIES == pytest.approx(0.05, abs=TOLERANCE)


def test_a_planted_difference_of_seeds_is_found_at_the_expected_rate() -> None:
    random, seeds, found = np.random.default_rng(1), 10, 0
    shift = 2 * np.sqrt(2 / seeds)  # two standard errors
    for _ in range(STUDIES):
        a, b = by_seed(random.normal(0, 1, seeds)), by_seed(random.normal(shift, 1, seeds))
        found += compare_two(a, b, paired=False).interval.p_value < 0.05
    assert found / STUDIES == pytest.approx(0.47, abs=0.05)  # t with 18 degrees of freedom, non-central by 2
