"""The time that a study will take."""

from pathlib import Path

import pytest

from assay.experiment.load import load_data
from assay.jobs.folder import JobState, JobStatus
from assay.studies.estimate import Estimate, TextSizes, count_following_runs, estimate_run_cost
from assay.studies.plan import PlannedArm, PlannedJob, StudyPlan
from assay.studies.planning import make_plan
from support.small_study import at_home, lay_study

SIZES = TextSizes(train=4000, validation=1000, test=500, validation_bytes=1000)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def statuses(plan: StudyPlan, *given: tuple[JobState, float]) -> list[JobStatus[PlannedJob]]:
    """States and seconds of the first jobs; the rest is still to be made."""
    rest: list[tuple[JobState, float]] = [("waiting", 0.0)] * (len(plan.jobs) - len(given))
    return [
        JobStatus(job, state, {"seconds": {"step": seconds}} if seconds else {})
        for job, (state, seconds) in zip(plan.jobs, [*given, *rest], strict=True)
    ]


def test_a_run_is_its_steps_and_its_scores_at_the_measured_rate(tmp_path: Path) -> None:
    plan = make_plan(str(lay_study(tmp_path, report_on="validation")))
    base = plan.arms[0]
    tokens, scored = 8 * 8 * 16, (3 + 1) * 1000  # 8 steps; a validation after them, and three of the whole split at the end
    assert estimate_run_cost(base, SIZES).seconds(2.0) == pytest.approx(2.0 * base.flops_per_token * (tokens + scored / 3))
    estimate = Estimate(plan, SIZES, {"base": 1e-6})
    one, other = estimate.run_seconds("base"), estimate.run_seconds("width=24")
    assert other > one
    assert estimate.seconds_left(statuses(plan), 1) == pytest.approx(one + other)
    assert estimate.seconds_left(statuses(plan), 2) == pytest.approx(other)


@pytest.mark.parametrize(("budget", "tokens"), [("2epochs", 8000), ("5000tokens", 5000), ("20steps", 20 * 8 * 16)])
def test_budgets_of_every_unit_are_counted_in_tokens(tmp_path: Path, budget: str, tokens: int) -> None:
    plan = make_plan(str(lay_study(tmp_path, budget=budget, axes={}, match=[])))
    assert estimate_run_cost(plan.arms[0], SIZES).training_flops == tokens * plan.arms[0].flops_per_token


def test_minutes_are_minutes(tmp_path: Path) -> None:
    plan = make_plan(str(lay_study(tmp_path, budget="2min", axes={}, match=["minutes"])))
    assert estimate_run_cost(plan.arms[0], SIZES).seconds(0.0) == 120
    assert estimate_run_cost(plan.arms[0], SIZES).seconds(1e-9) > 120


def test_finished_runs_teach_what_the_others_will_take(tmp_path: Path) -> None:
    plan = make_plan(str(lay_study(tmp_path, report_on="validation", seeds=[0, 1])))
    estimate = Estimate(plan, SIZES)
    now = statuses(plan, ("finished", 10.0))
    estimate.update(plan, now)
    assert estimate.run_seconds("base") == 10.0
    ratio = estimate_run_cost(plan.arms[1], SIZES).seconds(1.0) / estimate_run_cost(plan.arms[0], SIZES).seconds(1.0)
    assert estimate.run_seconds("width=24") == pytest.approx(10.0 * ratio)
    assert estimate.seconds_left(now, 1) == pytest.approx(10.0 + 2 * 10.0 * ratio)
    assert estimate.seconds_left(statuses(plan, *[("finished", 10.0)] * 3, ("failed", 0.0)), 1) == 0


def test_finished_runs_tell_how_much_longer_than_measured_the_others_take(tmp_path: Path) -> None:
    plan = make_plan(str(lay_study(tmp_path, report_on="validation")))
    estimate = Estimate(plan, SIZES, {"base": 1e-6, "width=24": 5e-6})
    alone, other = estimate.run_seconds("base"), estimate.run_seconds("width=24")
    estimate.update(plan, statuses(plan, ("finished", 3 * alone)))
    assert estimate.run_seconds("width=24") == pytest.approx(3 * other)


def test_each_arm_of_one_text_is_measured_unless_it_is_known(tmp_path: Path) -> None:
    plan = make_plan(str(lay_study(tmp_path, variants={"chars": {"tokenizer": "char"}}, report_on="validation")))
    prepared = load_data(plan.arms[0].config, None)
    estimate = Estimate(plan, SIZES)
    estimate.measure_rates(prepared, 1)
    assert estimate.rates.keys() == {"base", "width=24"}
    assert all(rate > 0 for rate in estimate.rates.values())
    estimate.update(plan, statuses(plan, ("finished", 10.0)))
    estimate.measure_rates(prepared, 1)
    assert estimate.rates.keys() == {"width=24"}


def test_runs_that_follow_from_the_choice_of_learning_rates_and_the_test_split_are_counted(tmp_path: Path) -> None:
    plan = make_plan(str(lay_study(tmp_path, lr_factors=[0.5, 1.0], tuning_seeds=[0], seeds=[0, 1, 2], axes={})))
    assert count_following_runs(plan) == {"base": 2}
    estimate = Estimate(plan, SIZES, {"base": 1e-6})
    final = 3 * 1e-6 * 500 * plan.arms[0].flops_per_token / 3
    assert estimate.seconds_left(statuses(plan), 1) == pytest.approx(4 * estimate.run_seconds("base") + final)


def test_further_seeds_of_the_base_follow_its_choice_of_learning_rate_and_are_scored_on_test(tmp_path: Path) -> None:
    plan = make_plan(str(lay_study(tmp_path, lr_factors=[0.5, 1.0], tuning_seeds=[0], seeds=[0, 1, 2], base_seeds=[3, 4])))
    assert count_following_runs(plan) == {"base": 4, "width=24": 2}
    single = make_plan(str(lay_study(tmp_path, seeds=[0], base_seeds=[3, 4], axes={})))
    estimate = Estimate(single, SIZES, {"base": 1e-6})
    final = 3 * 1e-6 * 500 * single.arms[0].flops_per_token / 3
    assert estimate.seconds_left(statuses(single), 1) == pytest.approx(3 * estimate.run_seconds("base") + final)


def test_sizes_are_those_of_the_vocabulary_that_the_text_gives(tmp_path: Path) -> None:
    sizes = [{"kind": "bpe", "vocabulary": size} for size in (300, 50_000)]
    plan = make_plan(str(lay_study(tmp_path, axes={"tokenizer": sizes}, match=[])))
    _, small, large = plan.arms
    assert large.vocabulary < 1_000
    width = large.config.to_dict()["model"]["width"]
    assert 0 < (large.parameters - small.parameters) <= 2 * width * (large.vocabulary - small.vocabulary)
    assert PlannedArm.from_dict(large.to_dict()).vocabulary == large.vocabulary
