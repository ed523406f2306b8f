"""Reading a study's folder: whole, in part, with tuning, with failures, in other figures than bits per byte."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from assay.errors import RunError
from assay.runs.checkpoint_ref import CheckpointRef
from assay.statistics.seed_noise import SeedNoise
from assay.statistics.seeds import compare_pairs
from assay.studies.analysis.outcome import read_study
from assay.studies.plan import StudyPlan
from support.made_study import arm, change, deep, fast, laid_plan, made, write_run, write_score

RATES = {"base": 2.0, "depth=2": 1.9, "depth=3": 2.0, "lr=0.01": 2.1}


def rate(name: str, seed: int, factor: float) -> float:
    """Bits per byte about that of the arm, best with the learning rate as it is."""
    return RATES[name] + float(np.random.default_rng([seed, *name.encode()]).normal(0, 0.01)) + 0.05 * abs(factor - 1)


ARMS = (arm(), deep(2), deep(3), fast(0.01))


def test_every_arm_has_its_figures_mean_and_deviation_over_seeds(tmp_path: Path) -> None:
    found = read_study(made(tmp_path, ARMS, rate))
    two = found.arm("depth=2")
    expected = [rate("depth=2", seed, 1.0) for seed in (0, 1, 2)]
    assert two.seeds == (0, 1, 2)
    assert two.figures == pytest.approx(expected)
    assert two.mean == pytest.approx(np.mean(expected))
    assert two.deviation == pytest.approx(np.std(expected, ddof=1))
    assert all(run.finished for run in found.all_runs)
    assert found.split == "validation"
    assert found.earlier_runs == ()


def test_curves_have_tokens_and_seconds_of_training_beside_each_figure(tmp_path: Path) -> None:
    curve = read_study(made(tmp_path, ARMS[:1], rate)).base.runs[0].curve
    assert [point.step for point in curve.validation] == [10, 30, 50]
    assert [point.tokens for point in curve.validation] == [10_000, 30_000, 50_000]
    assert [point.seconds for point in curve.validation] == [3.0, 7.0, 11.0]  # steps and warm-up, not the 9 s of validation
    assert curve.training[-1].value == 2.5
    assert curve.final_drop == pytest.approx(curve.validation[1].value - curve.validation[2].value)


def test_what_an_arm_took_is_measured_in_tokens_text_flops_and_seconds(tmp_path: Path) -> None:
    spent = read_study(made(tmp_path, ARMS[:1], rate)).base.resource_use
    assert (spent.tokens, spent.bytes, spent.flops) == (50_000, 100_000, 50_000 * 60_000)
    assert (spent.seconds, spent.tokens_per_second, spent.peak_bytes) == (11.0, 5e3, None)


def test_every_arm_is_compared_with_the_base_and_the_noise_of_seeds_is_that_of_all_arms(tmp_path: Path) -> None:
    study = read_study(made(tmp_path, ARMS, rate))
    found = {one.arm: one for one in study.comparisons}
    assert list(found) == ["depth=2", "depth=3", "lr=0.01"]
    assert found["depth=2"].resolved
    assert found["depth=2"].difference < 0  # better
    assert found["depth=2"].verdict.startswith("resolved over 3 seeds: depth=2 better by 0.10")
    assert not found["depth=3"].resolved
    assert found["depth=3"].seeds_needed is not None
    assert found["depth=3"].verdict.startswith("not resolved over 3 seeds: base better by 0.00")
    assert f"about {found['depth=3'].seeds_needed:,} seeds of each would be needed if it is as large as seen" in found["depth=3"].verdict
    assert [one.arm for one in study.comparisons if one.suspicious] == ["depth=3"]
    assert found["depth=3"].verdict.endswith("; depth=3 scatters more than the others, give it more seeds")
    together = compare_pairs(SeedNoise([dict(enumerate(one.figures)) for one in study.arms], blocked=True), [(0, 1), (0, 2), (0, 3)])
    for one, expected in zip(study.comparisons, together, strict=True):
        assert one.interval is not None
        low, high, _ = expected.estimate.interval
        assert one.interval[:2] == pytest.approx((-high, -low))
        assert one.adjusted_p_value == pytest.approx(expected.adjusted_p_value)
    interval = found["depth=2"].interval
    assert interval is not None
    assert interval.low < found["depth=2"].difference < interval.high < 0


def test_one_arm_and_the_base_are_paired_by_seed_in_one_architecture_only(tmp_path: Path) -> None:
    for other in (fast(0.01), deep(2)):
        study = read_study(made(tmp_path / other.name, (arm(), other), rate))
        base, figures = (np.array(one.figures) for one in study.arms)
        paired = stats.ttest_rel(figures, base).confidence_interval()
        welch = stats.ttest_ind(figures, base, equal_var=False).confidence_interval()
        (found,) = study.comparisons
        assert found.interval is not None
        assert found.interval[:2] == pytest.approx(tuple(paired if other.name == "lr=0.01" else welch))


def test_further_seeds_of_the_base_tell_how_far_seeds_alone_move_single_ones(tmp_path: Path) -> None:
    study = read_study(made(tmp_path, ARMS, rate, seeds=[0], base_seeds=[1, 2, 3, 4]))
    assert study.base.seeds == (0, 1, 2, 3, 4)
    assert [one.seeds for one in study.arms[1:]] == [(0,)] * 3
    spread = np.std(study.base.figures, ddof=1)
    for one in study.comparisons:
        assert (one.interval, one.adjusted_p_value, one.resolved, one.seeds_needed) == (None, None, False, None)
        assert one.rank_interval is not None
        assert one.rank_interval.half_width == pytest.approx(stats.t.ppf(0.975, 4) * spread * np.sqrt(1 + 1 / 5))
    alone = read_study(made(tmp_path / "alone", ARMS, rate, seeds=[0]))
    assert all(one.rank_interval is None for one in alone.comparisons)


def test_the_learning_rate_that_is_best_on_validation_is_chosen_and_the_others_stay_visible(tmp_path: Path) -> None:
    def tilted(name: str, seed: int, factor: float) -> float:
        return rate(name, seed, factor) - (0.2 * factor if name == "depth=2" else 0)

    found = read_study(made(tmp_path, ARMS[:2], tilted, lr_factors=[0.5, 1.0, 2.0], tuning_seeds=[0]))
    two = found.arm("depth=2")
    assert (found.base.lr_factor, two.lr_factor) == (1.0, 2.0)
    assert two.seeds == (0, 1, 2)
    assert two.figures == pytest.approx([tilted("depth=2", seed, 2.0) for seed in (0, 1, 2)])
    assert len(two.all_runs) == 5  # three factors on seed 0, then two more seeds of the best


def test_the_test_split_is_reported_once_every_finished_run_is_scored_on_it(tmp_path: Path) -> None:
    folder = made(tmp_path, ARMS[:2], rate, report_on="test")
    found = read_study(folder)
    assert found.split == "test"
    assert all(score.protocol["split"] == "test" for one in found.arms for score in one.scores)
    for file in (folder / found.arms[1].runs[0].job.run / "scores").glob("test-*"):
        file.unlink()
    found = read_study(folder)
    assert found.split == "validation"
    assert all(score.protocol["split"] == "validation" for one in found.arms for score in one.scores)


def test_a_study_of_which_runs_are_missing_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = made(tmp_path, ARMS[:3], rate)
    found = read_study(folder)
    shutil.rmtree(folder / found.arm("depth=3").runs[0].job.run)
    shutil.rmtree(folder / found.arm("depth=2").runs[1].job.run)
    found = read_study(folder)
    assert found.arm("depth=2").seeds == (0, 2)
    assert [run.state for run in found.arm("depth=2").runs] == ["finished", "waiting", "finished"]
    assert {one.arm for one in found.comparisons} == {"depth=2", "depth=3"}


def test_a_study_of_which_nothing_is_finished_says_so(tmp_path: Path) -> None:
    found = read_study(made(tmp_path, ARMS[:2], rate, leave=["base", "depth"]))
    assert (found.comparisons, found.axes, found.fronts, found.base.mean) == ((), (), (), None)
    assert found.verdict[1] == "0 of 6 runs are finished."


def test_a_failed_run_keeps_its_reason_and_leaves_the_others_their_figures(tmp_path: Path) -> None:
    folder = made(tmp_path, ARMS[:2], rate)
    broken = read_study(folder).arm("depth=2").runs[1]
    change(broken.run.path / "status.json", state="failed", error="the loss is nan; lower the learning rate")
    found = read_study(folder).arm("depth=2")
    assert found.seeds == (0, 2)
    assert (found.runs[1].state, found.runs[1].reason) == ("failed", "the loss is nan; lower the learning rate")


def test_a_finished_run_without_its_scores_counts_as_failed(tmp_path: Path) -> None:
    folder = made(tmp_path, ARMS[:1], rate)
    for file in (folder / read_study(folder).base.runs[0].job.run / "scores").iterdir():
        file.unlink()
    run = read_study(folder).base.runs[0]
    assert (run.state, run.finished) == ("failed", False)
    assert "best checkpoint" in run.reason


def test_arms_on_another_text_are_left_out_with_the_reason(tmp_path: Path) -> None:
    folder = made(tmp_path, ARMS[:3], rate)
    for run in read_study(folder).arm("depth=3").runs:
        for which in ("best", "last"):
            write_score(run.run, run.job, 2.0, split="validation", checkpoint={"kind": which, "step": 50}, text_sha256="00" * 32)
    found = read_study(folder)
    assert [one.arm for one in found.comparisons] == ["depth=2"]
    assert "depth=3 is not compared with the base" in found.left_out[0]
    assert "not the same bytes" in found.left_out[0]


def test_runs_of_an_earlier_form_are_counted_and_not_read(tmp_path: Path) -> None:
    folder = made(tmp_path, ARMS[:2], rate)
    old = laid_plan([arm(), fast(0.5)])
    write_run(folder, old, old.jobs_of_arm("lr=0.5")[0], 1.0)
    assert read_study(folder).earlier_runs == (old.jobs_of_arm("lr=0.5")[0].run,)


@pytest.mark.parametrize(("metric", "sign"), [("bits_per_character", 1), ("perplexity_per_word", 1), ("top1_accuracy", -1)])
def test_other_figures_are_compared_over_seeds_alone_and_below_0_is_better_in_all(tmp_path: Path, metric: str, sign: int) -> None:
    found = read_study(made(tmp_path, ARMS[:2], rate, metric=metric))
    (two,) = found.comparisons
    assert two.difference < 0
    assert two.resolved
    assert two.text_interval is None
    assert sign * (found.arm("depth=2").mean or 0) < sign * (found.base.mean or 0)
    assert two.verdict.endswith(found.metric.label)


def test_the_last_checkpoint_is_read_where_the_study_asks_for_it(tmp_path: Path) -> None:
    folder = made(tmp_path, ARMS[:1], rate, checkpoint="last")
    for run in read_study(folder).base.runs:
        write_score(run.run, run.job, 1.5, split="validation", checkpoint={"kind": "best", "step": 30})
        change(run.run.path / "status.json", best={"step": 30, "bits_per_byte": 1.5})
    found = read_study(folder).base
    assert found.figures == pytest.approx([rate("base", seed, 1.0) for seed in (0, 1, 2)])
    assert {score.checkpoint for score in found.scores} == {CheckpointRef("last", 50)}


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"plan\.json is missing"):
        read_study(tmp_path)
    assert not (tmp_path / "plan.json").exists()


def test_the_plan_that_is_written_is_the_plan_that_is_read(tmp_path: Path) -> None:
    folder = made(tmp_path, ARMS, rate)
    assert [one.name for one in StudyPlan.read(folder).arms] == [one.name for one in read_study(folder).arms]
