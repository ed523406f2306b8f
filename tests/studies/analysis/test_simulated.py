"""Studies whose truth is known: what they claim is true as often as they say, and what is there is found as often as it should be."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from assay.evaluation.compare import Arm, compare_arms
from assay.evaluation.verdict import is_resolved
from assay.studies.analysis.comparisons import compare_to_base
from assay.studies.analysis.effects import measure_effects, measure_interactions
from assay.studies.analysis.outcome import analyze_arms, read_study
from assay.studies.analysis.results import ArmOutcome, ComparisonToBase, Effect, Interaction
from assay.studies.plan import PlannedArm
from support.made_study import arm, deep, fast, laid_plan, made, outcome_of
from support.scores import sizes_of, stored

STUDIES = 1000
TOLERANCE = 0.02  # of a rate: nearly three standard deviations of 5 % in 1,000 studies
FIGURE = "bits_per_character"  # compared over seeds alone
ALIKE = (arm(), *(fast(rate) for rate in (0.01, 0.02, 0.03)))  # one architecture: paired by seed where there are two
UNLIKE = (arm(), *(deep(depth) for depth in (2, 3, 4)))
CELLS = (arm(), deep(2), fast(0.01), arm("depth=2 lr=0.01", {"model.depth": 2, "optimizer.lr": 0.01}))


def compared_study(
    random: np.random.Generator, arms: Sequence[PlannedArm], means: Sequence[float], seeds: int
) -> Sequence[ComparisonToBase]:
    """The comparisons of a study whose seeds scatter by 0.01 about the means of its arms."""
    figures = random.normal(means, 0.01, (seeds, len(means)))
    return compare_to_base(
        [outcome_of(one, dict(enumerate(of)), FIGURE) for one, of in zip(arms, figures.T.tolist(), strict=True)]
    ).comparisons


@pytest.mark.parametrize("arms", [ALIKE, UNLIKE], ids=["one architecture", "several"])
@pytest.mark.parametrize("seeds", [2, 4])
def test_where_no_arm_differs_at_most_5_percent_of_studies_resolve_anything(arms: Sequence[PlannedArm], seeds: int) -> None:
    random = np.random.default_rng(seeds)
    wrong = sum(any(one.resolved for one in compared_study(random, arms, [2.0] * 4, seeds)) for _ in range(500))
    assert wrong / 500 <= 0.05 + TOLERANCE


def scored(random: np.random.Generator, planned: PlannedArm, seeds: int) -> ArmOutcome:
    """An arm without any effect: each seed is lucky by 0.01 bits per byte, and each document of each run by more."""
    sizes = sizes_of(60)
    outcome = outcome_of(planned, dict.fromkeys(range(seeds), 2.0))
    runs = []
    for run in outcome.runs:
        assert run.validation is not None
        bits = sizes * (2.0 + random.normal(0, 0.01) + random.normal(0, 0.03, 60))
        runs.append(replace(run, validation=stored(run.job.run, bits, sizes, config=run.validation.config)))
    return replace(outcome, all_runs=tuple(runs), runs=tuple(runs))


def test_the_text_alone_takes_the_luck_of_a_seed_for_an_effect_and_a_study_of_single_seeds_says_so() -> None:
    """The interval over the text is right about these two runs, which do differ; half of all studies would claim an effect of nothing."""
    random, wrong, studies = np.random.default_rng(0), 0, 200
    for _ in range(studies):
        arms = (scored(random, UNLIKE[0], 1), scored(random, UNLIKE[1], 1))
        (found,) = compare_arms([Arm(one.name, one.scores) for one in arms])[1]
        wrong += is_resolved(found.text)
    assert wrong / studies > 0.3
    outcome = analyze_arms(laid_plan(UNLIKE[:2]), arms, Path())
    assert not outcome.comparisons[0].resolved
    assert [one for one in outcome.warnings if one.startswith("Every arm has a single seed")]


def test_over_seeds_and_text_at_most_5_percent_of_studies_resolve_what_is_not_there() -> None:
    random, wrong, studies = np.random.default_rng(1), 0, 200
    for _ in range(studies):
        wrong += any(one.resolved for one in compare_to_base([scored(random, one, 3) for one in UNLIKE[:3]]).comparisons)
    assert wrong / studies <= 0.05 + TOLERANCE


@pytest.mark.parametrize(("arms", "seeds", "power"), [(UNLIKE, 10, 0.469), (ALIKE, 10, 0.441)], ids=["Welch", "paired"])
def test_a_planted_effect_of_2_standard_errors_is_found_at_the_expected_power(arms: Sequence[PlannedArm], seeds: int, power: float) -> None:
    """Of Student's t, non-central by 2, with 18 degrees of freedom, and with 9 where paired."""
    random, shift = np.random.default_rng(2), 2 * 0.01 * np.sqrt(2 / seeds)
    found = sum(compared_study(random, arms[:2], [2.0, 2.0 - shift], seeds)[0].resolved for _ in range(STUDIES))
    assert found / STUDIES == pytest.approx(power, abs=0.045)


@pytest.mark.slow
@pytest.mark.parametrize(("arms", "count", "scale"), [(ALIKE, 4, 3**0.5), (UNLIKE, 2, 2.0)], ids=["one of three", "Welch, alone"])
def test_as_many_seeds_as_a_study_says_are_needed_find_the_effect_in_80_percent_of_studies(
    arms: Sequence[PlannedArm], count: int, scale: float
) -> None:
    """A first study of 4 seeds that happens to see the truth exactly: an effect of 0.01, seeds that scatter by 0.01."""
    luck = (np.eye(4) - 1 / 4) * 0.01 * scale  # no seed is lucky for all four arms: 9 degrees of freedom, of one arm 3
    means = [2.0, 1.99, 2.0, 2.0][:count]
    first = [
        outcome_of(one, dict(enumerate((luck[place] + mean).tolist())), FIGURE)
        for place, (one, mean) in enumerate(zip(arms, means, strict=False))
    ]
    needed = compare_to_base(first).comparisons[0].seeds_needed
    assert needed is not None
    random = np.random.default_rng(needed)
    found = sum(compared_study(random, arms[:count], means, needed)[0].resolved for _ in range(400))
    assert found / 400 == pytest.approx(0.82, abs=0.055)  # whole seeds


def grid_studies(mode: str, means: Sequence[float], spread: Sequence[float], seeds: int) -> Iterator[tuple[list[Effect], Interaction]]:
    """The effects and the interaction that studies of four arms find, of these means and deviations over seeds."""
    random, plan = np.random.default_rng(seeds), laid_plan(CELLS, mode=mode, metric=FIGURE)
    for _ in range(STUDIES):
        figures = random.normal(means, spread, (seeds, 4)).T.tolist()
        arms = [outcome_of(one, dict(enumerate(of)), FIGURE) for one, of in zip(CELLS, figures, strict=True)]
        yield [effect for axis in measure_effects(plan, arms, ()) for effect in axis.effects], measure_interactions(plan, arms)[0]


EVEN, UNEVEN = (0.01,) * 4, (0.005, 0.01, 0.01, 0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "seeds"), [(EVEN, 3), (UNEVEN, 5)])
def test_an_interaction_is_found_without_bias_and_its_interval_covers_it_in_95_percent_of_studies(
    spread: tuple[float, ...], seeds: int
) -> None:
    found = [one for _, one in grid_studies("pairs", (2.0, 1.95, 1.98, 1.90), spread, seeds)]  # -0.03 beyond the sum
    error = np.sqrt(np.square(spread).sum() / seeds)
    assert fmean(one.difference for one in found) == pytest.approx(-0.03, abs=3 * error / np.sqrt(STUDIES))
    covered = sum(one.interval is not None and one.interval.low < -0.03 < one.interval.high for one in found)
    assert covered / STUDIES == pytest.approx(0.95, abs=TOLERANCE)


def test_a_main_effect_in_a_grid_is_found_without_bias_and_its_interval_covers_it() -> None:
    """Depth: (-0.05 - 0.09) / 2; learning rate: (-0.02 - 0.06) / 2."""
    truth, error = (-0.07, -0.04), 0.01 / np.sqrt(3)
    found = [both for both, _ in grid_studies("grid", (2.0, 1.95, 1.98, 1.89), EVEN, 3)]
    for place, planted in enumerate(truth):
        one = [both[place] for both in found]
        assert fmean(effect.difference for effect in one) == pytest.approx(planted, abs=3 * error / np.sqrt(STUDIES))
        covered = sum(effect.interval is not None and effect.interval.low < planted < effect.interval.high for effect in one)
        assert covered / STUDIES == pytest.approx(0.95, abs=TOLERANCE)


def test_effects_that_are_not_there_are_resolved_in_at_most_5_percent_of_grids() -> None:
    found = list(islice(grid_studies("grid", (2.0,) * 4, EVEN, 3), 500))
    assert sum(any(effect.resolved for effect in both) for both, _ in found) / 500 <= 0.05 + TOLERANCE
    assert sum(one.resolved for _, one in found) / 500 <= 0.05 + TOLERANCE


FACTORS = [0.25, 0.5, 1.0, 2.0, 4.0]  # that make no difference in truth
OF_FIVE = 1.163  # the expected largest of five standard normal numbers


def chosen_figures(folder: Path, luck: tuple[float, float], studies: int) -> tuple[float, float, float]:
    """How far the figures of validation, of test on the seed that chose, and of test on the other seed lie above the truth, on average.

    `luck`: deviations of a run, common to both splits, and of a split.
    """
    random, found = np.random.default_rng(1), []
    for study in range(studies):

        def rate(name: str, seed: int, factor: float) -> tuple[float, float]:
            run = random.normal(0, luck[0])
            return 2 + run + random.normal(0, luck[1]), 2 + run + random.normal(0, luck[1])

        base = read_study(
            made(folder / str(study), [arm()], rate, seeds=[0, 1], tuning_seeds=[0], lr_factors=FACTORS, report_on="test")
        ).base
        found.append((base.validation_figures[0] - 2, base.figures[0] - 2, base.figures[1] - 2))
    validation, chose, other = np.mean(found, axis=0).tolist()
    return validation, chose, other


@pytest.mark.slow
def test_the_best_of_five_learning_rates_is_too_good_on_validation_and_not_on_test(tmp_path: Path) -> None:
    validation, test, _ = chosen_figures(tmp_path, (0.0, 0.02), 40)
    assert validation == pytest.approx(-OF_FIVE * 0.02, abs=3 * 0.02 * 0.67 / np.sqrt(40))
    assert test == pytest.approx(0.0, abs=3 * 0.02 / np.sqrt(40))


@pytest.mark.slow
def test_the_luck_of_the_run_that_chose_stays_in_its_test_figure_and_not_in_those_of_other_seeds(tmp_path: Path) -> None:
    _, chose, other = chosen_figures(tmp_path, (0.02, 0.001), 40)
    assert chose == pytest.approx(-OF_FIVE * 0.02, abs=3 * 0.02 * 0.67 / np.sqrt(40))
    assert other == pytest.approx(0.0, abs=3 * 0.02 / np.sqrt(40))
