"""Effects and interactions against numbers worked by hand, and how arms depend on their learning rates."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from assay.studies.analysis.comparisons import compare_to_base
from assay.studies.analysis.effects import VARIANTS, measure_effects, measure_interactions
from assay.studies.analysis.outcome import read_study
from assay.studies.analysis.results import ArmOutcome, AxisEffect, Interaction, StudyOutcome
from assay.studies.plan import PlannedArm
from support.made_study import arm, change, deep, fast, laid_plan, made, outcome_of

BOTH = arm("depth=2 lr=0.01", {"model.depth": 2, "optimizer.lr": 0.01})
CELLS = (arm(), deep(2), fast(0.01), BOTH)


def around(mean: float) -> dict[int, float]:
    """Three seeds about a mean."""
    return {0: mean - 0.01, 1: mean, 2: mean + 0.01}


def found(
    arms: Mapping[PlannedArm, Mapping[int, float]] | list[tuple[PlannedArm, Mapping[int, float]]], mode: str, metric: str = "bits_per_byte"
) -> tuple[dict[str, AxisEffect], tuple[Interaction, ...]]:
    """The effects by axis, and the interactions."""
    listed = list(arms.items()) if isinstance(arms, Mapping) else arms
    outcomes: list[ArmOutcome] = [outcome_of(one, figures, metric) for one, figures in listed]
    plan = laid_plan([one for one, _ in listed], mode=mode, metric=metric)
    axes = measure_effects(plan, outcomes, compare_to_base(outcomes).comparisons)
    return {axis.axis: axis for axis in axes}, measure_interactions(plan, outcomes)


def test_in_one_factor_an_effect_is_the_comparison_of_its_arm_with_the_base() -> None:
    axes, none = found([(arm(), around(2.0)), (deep(2), around(1.9)), (deep(3), around(2.3)), (fast(0.01), around(2.05))], "one-factor")
    assert none == ()
    depth = axes["model.depth"]
    assert [(one.value, one.difference, one.contrast_count) for one in depth.effects] == [
        ("2", pytest.approx(-0.1), 1),
        ("3", pytest.approx(0.3), 1),
    ]
    assert (depth.best, depth.spread) == ("2", pytest.approx(0.4))
    assert (axes["optimizer.lr"].best, axes["optimizer.lr"].spread) == ("base", pytest.approx(0.05))
    assert all(one.resolved for one in depth.effects)


def test_the_main_effect_in_a_grid_is_the_mean_over_the_other_axis() -> None:
    figures = np.array([[1.99, 2.0, 2.01], [1.91, 1.89, 1.9], [2.2, 2.21, 2.19], [1.79, 1.8, 1.81]])
    axes, (together,) = found([(cell, dict(enumerate(row))) for cell, row in zip(CELLS, figures.tolist(), strict=True)], "grid")
    (depth,), (lr,) = axes["model.depth"].effects, axes["optimizer.lr"].effects
    assert (depth.difference, depth.contrast_count) == (pytest.approx((-0.1 - 0.4) / 2), 2)
    assert (lr.difference, lr.contrast_count) == (pytest.approx((0.2 - 0.1) / 2), 2)
    assert together.difference == pytest.approx(1.8 - 1.9 - 2.2 + 2.0)
    residuals = figures - figures.mean(axis=1, keepdims=True) - figures.mean(axis=0) + figures.mean()
    error = np.sqrt(np.square(residuals).sum() / 6 * 4 * (1 / 2) ** 2 / 3)  # 6 degrees of freedom; four means of three, half of each
    assert depth.interval is not None
    assert depth.interval[:2] == pytest.approx(stats.t.interval(0.95, 6, depth.difference, error))


def test_a_grid_value_that_is_the_bases_own_is_the_base() -> None:
    same = arm("depth=1 lr=0.01", {"model.depth": 1, "optimizer.lr": 0.01})  # the recipe has depth 1
    axes, _ = found([(arm(), around(2.0)), (deep(2), around(1.9)), (same, around(2.2)), (BOTH, around(1.8))], "grid")
    assert [one.value for one in axes["model.depth"].effects] == ["2"]
    assert axes["model.depth"].effects[0].contrast_count == 2


def test_a_grid_of_which_an_arm_is_missing_uses_the_pairs_that_are_there() -> None:
    axes, together = found([(CELLS[0], around(2.0)), (CELLS[1], around(1.9)), (CELLS[2], around(2.2)), (CELLS[3], {})], "grid")
    assert (axes["model.depth"].effects[0].contrast_count, axes["model.depth"].effects[0].difference) == (1, pytest.approx(-0.1))
    assert together == ()


def test_an_interaction_of_a_pair_is_what_both_do_beyond_the_sum_of_each() -> None:
    axes, (together,) = found([(CELLS[0], around(2.0)), (CELLS[1], around(1.9)), (CELLS[2], around(1.8)), (CELLS[3], around(1.8))], "pairs")
    assert together.difference == pytest.approx(0.1)  # they share what they gain
    assert (together.first, together.second, together.contrast_count) == (("model.depth", "2"), ("optimizer.lr", "0.01"), 1)
    assert together.resolved
    assert axes["model.depth"].effects[0].difference == pytest.approx(-0.1)  # alone, beside the base
    assert axes["optimizer.lr"].effects[0].contrast_count == 1


def test_values_that_add_up_have_no_interaction() -> None:
    random = np.random.default_rng(0)
    cells = [
        (cell, {seed: mean + random.normal(0, 0.01) for seed in range(4)}) for cell, mean in zip(CELLS, (2.0, 1.9, 1.8, 1.7), strict=True)
    ]
    _, (together,) = found(cells, "pairs")
    assert not together.resolved
    assert together.interval is not None
    assert together.interval.low < 0 < together.interval.high


def test_with_one_seed_an_effect_has_a_size_and_no_interval() -> None:
    axes, (together,) = found([(cell, {0: mean}) for cell, mean in zip(CELLS, (2.0, 1.9, 1.8, 1.6), strict=True)], "grid")
    assert axes["model.depth"].effects[0].interval is None
    assert not axes["model.depth"].effects[0].resolved
    assert (together.difference, together.interval, together.resolved) == (pytest.approx(-0.1), None, False)


def test_an_arm_that_moves_several_keys_is_listed_as_a_variant() -> None:
    wide = arm("wide and slow", {"model.width": 32, "train.accumulation": 2})
    axes, _ = found([(arm(), around(2.0)), (deep(2), around(1.9)), (wide, around(1.7))], "one-factor")
    assert [(one.value, one.difference) for one in axes[VARIANTS].effects] == [("wide and slow", pytest.approx(-0.3))]


def test_effects_are_turned_so_that_below_0_is_better_for_an_accuracy_too() -> None:
    axes, _ = found([(arm(), around(0.4)), (deep(2), around(0.5))], "one-factor", "top1_accuracy")
    assert axes["model.depth"].effects[0].difference == pytest.approx(-0.1)
    assert axes["model.depth"].best == "2"


def tuned(folder: Path, best: dict[str, float], factors: tuple[float, ...] = (0.5, 1.0, 2.0), **said: object) -> StudyOutcome:
    """A study whose arms have their best figure at these factors."""
    arms = [arm() if name == "base" else deep(2) for name in best]
    study = {"lr_factors": list(factors), "tuning_seeds": [0, 1], **said}
    return read_study(made(folder, arms, lambda name, seed, factor: 2.0 + 0.001 * seed + 0.1 * abs(factor - best[name]), **study))


def test_each_factor_has_its_mean_over_the_tuning_seeds(tmp_path: Path) -> None:
    (one,) = tuned(tmp_path, {"base": 1.0}).sensitivities
    assert [factor for factor, _ in one.figures] == [0.5, 1.0, 2.0]
    assert [figure for _, figure in one.figures] == pytest.approx([2.0505, 2.0005, 2.1005])
    assert (one.best, one.at_edge, one.diverged) == (1.0, False, ())
    assert one.spread == pytest.approx(0.1)


def test_a_best_factor_at_the_end_of_the_range_is_said_to_be_there(tmp_path: Path) -> None:
    found = tuned(tmp_path, {"base": 1.0, "depth=2": 2.0})
    assert [(one.arm, one.best, one.at_edge) for one in found.sensitivities] == [("base", 1.0, False), ("depth=2", 2.0, True)]
    said = [sentence for sentence in found.warnings if "lr_factors" in sentence]
    assert said == ["The best factor on the learning rates is the last that was tried on its side for depth=2 (2): widen lr_factors."]


def test_a_factor_with_which_a_run_diverged_is_named_and_has_no_figure(tmp_path: Path) -> None:
    found = tuned(tmp_path, {"base": 1.0})
    run = next(run for run in found.base.all_runs if run.job.lr_factor == 2.0)
    change(run.run.path / "status.json", state="failed", error="step 3: the loss is nan; lower the learning rate")
    (one,) = read_study(tmp_path).sensitivities
    assert one.diverged == (2.0,)
    assert [factor for factor, _ in one.figures] == [0.5, 1.0]
    assert not one.at_edge  # beyond the diverged one nothing has to be tried


def test_more_of_an_accuracy_is_better(tmp_path: Path) -> None:
    (one,) = tuned(tmp_path, {"base": 0.5}, metric="top1_accuracy").sensitivities
    assert one.best == 0.5
    assert one.spread > 0


def test_where_nothing_is_tuned_there_is_no_sensitivity(tmp_path: Path) -> None:
    assert tuned(tmp_path, {"base": 1.0}, factors=(1.0,)).sensitivities == ()
