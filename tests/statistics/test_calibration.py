"""The methods themselves, measured: how often they cry wolf where nothing is there, and how often they find what is."""

import numpy as np
import pytest
from scipy import stats

from assay.statistics.bootstrap import effective_units, percentile_interval, resample_ratios
from assay.statistics.seed_noise import SeedNoise
from assay.statistics.seeds import compare_pairs
from assay.statistics.significance import holm
from support.two_arms import compare_two

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


ARMS, SEEDS, COMMON, OWN = 13, 3, 0.004, 0.005  # deviations of what a seed does to all arms and to one alone
FEW_AND_MANY = pytest.mark.parametrize("studies", [150, pytest.param(1500, marks=pytest.mark.slow)])


def study_figures(random: np.random.Generator, *, best: float = 0.0, noisy: float = 1.0) -> np.ndarray:
    """The figures [arms, seeds] of a study whose last arm is better by `best` and scatters `noisy` times as much."""
    own = np.full((ARMS, 1), OWN)
    own[-1] *= noisy
    figures: np.ndarray = random.normal(0, COMMON, SEEDS) + own * random.normal(0, 1, (ARMS, SEEDS))
    figures[-1] -= best
    return figures


def find_together(figures: np.ndarray) -> list[bool]:
    """Which arms differ from the first, by the noise of all arms."""
    noise = SeedNoise([by_seed(arm) for arm in figures], blocked=True)
    return [one.adjusted_p_value < 0.05 for one in compare_pairs(noise, [(0, arm) for arm in range(1, ARMS)])]


def find_by_pairs(figures: np.ndarray) -> list[bool]:
    """Which arms differ from the first, each by its own three pairs."""
    return [p < 0.05 for p in holm([float(stats.ttest_rel(figures[0], arm).pvalue) for arm in figures[1:]])]


@FEW_AND_MANY
@pytest.mark.parametrize(("noisy", "most"), [(1.0, 0.08), (3.0, 0.09)], ids=["alike", "one arm scatters three times as much"])
def test_studies_of_twelve_arms_without_any_effect_seldom_find_one(studies: int, noisy: float, most: float) -> None:
    random = np.random.default_rng(0)
    assert sum(any(find_together(study_figures(random, noisy=noisy))) for _ in range(studies)) / studies <= most


@FEW_AND_MANY
def test_the_noise_of_all_arms_finds_a_difference_that_three_pairs_alone_miss(studies: int) -> None:
    random = np.random.default_rng(0)
    made = [study_figures(random, best=0.02) for _ in range(studies)]
    assert sum(find_together(one)[-1] for one in made) / studies > 0.6
    assert sum(find_by_pairs(one)[-1] for one in made) / studies < 0.3
