"""Workers and pools of one study: they share its runs, and use the test split once for each run that is reported, at the end."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from assay.jobs.folder import JobStatus
from assay.runs.directory import TEST_USES, RunDirectory
from assay.studies.plan import PlannedJob, StudyPlan
from assay.studies.workers import StudyMonitor, run_pool, run_worker, score_chosen_runs
from support.small_study import at_home, jobs, metrics, planned, start, states, wait_until


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


@pytest.mark.slow
def test_learning_rates_are_chosen_and_the_runs_that_follow_are_made(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation", lr_factors=[0.5, 1.0], tuning_seeds=[0], seeds=[0, 1], axes={})
    assert len(jobs(study)) == 2
    run_worker(study.path)
    plan = study.plan()
    assert len(plan.jobs) == 3
    assert plan.chosen_factors.keys() == {"base"}
    assert set(states(study).values()) == {"finished"}
    assert {path.stem for path in (study.path / "jobs").iterdir()} == {job.run for job in plan.jobs}


def test_a_job_of_a_cluster_can_carry_it() -> None:
    assert pickle.loads(pickle.dumps(run_worker)) is run_worker


def quiet(plan: StudyPlan, statuses: Sequence[JobStatus[PlannedJob]]) -> None:
    """Shows nothing."""


@pytest.mark.slow
def test_two_pools_at_once_make_each_run_once(tmp_path: Path) -> None:
    rhythms = ["train.log_every=10steps", "train.validate_every=200steps", "train.samples=0", "train.save_every=50steps"]
    study = planned(tmp_path, seeds=[0, 1, 2], budget="200steps", report_on="validation", set=rhythms)
    other = start("study", "run", tmp_path / "width.toml", "--jobs", 1, "--json")
    wait_until(lambda: "running" in states(study).values())
    run_pool(study, 1, None, quiet, lambda text: None)
    out, _ = other.communicate(timeout=60)
    assert set(states(study).values()) == {"finished"}
    assert other.returncode == 0, out
    holders = set()
    for job in jobs(study):
        assert study.log(job).read_text(encoding="utf-8").splitlines().count(job.run) == 1
        steps = [line["step"] for line in map(json.loads, metrics(study.path / job.run).splitlines()) if "loss" in line]
        assert steps == list(range(10, 201, 10))
        holders.add(study.run(job).status()["pid"])
    assert len(holders) == 2


def test_what_there_is_to_do_follows_from_the_states_of_the_runs(tmp_path: Path) -> None:
    study = planned(tmp_path, lr_factors=[0.5, 1.0], tuning_seeds=[0], seeds=[0, 1], axes={}, report_on="validation")
    shown: list[int] = []
    look = StudyMonitor(study, lambda plan, statuses: shown.append(len(statuses)))
    first = look()
    assert (first.unclaimed, first.running, first.done) == (2, 0, False)
    assert look().progress == first.progress
    for job in jobs(study):
        study.run(job).path.mkdir()
        study.run(job).update_status(state="failed", failure="diverged" if job.lr_factor == 1 else "error")
    failed = look()
    assert (failed.unclaimed, failed.done) == (0, True)
    assert failed.progress != first.progress
    assert shown == [2, 2, 2]


def uses(folder: Path) -> list[int]:
    """How often each run was scored on the test split."""
    return sorted(len(RunDirectory(path.parent).test_uses()) for path in folder.glob("*/status.json"))


def test_the_test_split_is_used_once_for_each_chosen_run_and_not_for_those_that_tuned(tmp_path: Path) -> None:
    study = planned(tmp_path, lr_factors=[0.5, 1.0], tuning_seeds=[0], seeds=[0, 1], axes={})
    run_worker(study.path, score_final=False)
    assert uses(study.path) == [0, 0, 0]
    told: list[str] = []
    assert score_chosen_runs(study, None, told.append) == 2
    assert uses(study.path) == [0, 1, 1]
    assert told == ["scoring 2 runs on the test split, once"]
    assert score_chosen_runs(study, None, told.append) == 0
    run_worker(study.path)
    assert uses(study.path) == [0, 1, 1]


def test_a_use_that_was_not_noted_is_noted_later_without_another_one(tmp_path: Path) -> None:
    study = planned(tmp_path, axes={})
    run_worker(study.path)
    run = study.run(jobs(study)[0])
    scored = {path.name: path.stat().st_mtime_ns for path in (run.path / "scores").glob("test-*.json")}
    (run.path / TEST_USES).unlink()
    assert score_chosen_runs(study, None, lambda text: None) == 0
    assert len(run.test_uses()) == 1
    assert {path.name: path.stat().st_mtime_ns for path in (run.path / "scores").glob("test-*.json")} == scored


def test_nothing_is_scored_while_a_run_is_to_be_made_or_where_validation_is_reported(tmp_path: Path) -> None:
    study = planned(tmp_path, axes={})
    assert score_chosen_runs(study, None, lambda text: None) == 0
    study = planned(tmp_path, axes={}, report_on="validation")
    run_worker(study.path)
    assert score_chosen_runs(study, None, lambda text: None) == 0
    assert uses(study.path) == [0]
