"""A study's folder: what is told of its runs, and how it is found."""

import os
from pathlib import Path

import pytest

from assay.errors import RunError
from assay.jobs.folder import StudyFolder, counts, find_folder, is_study, may_grow, studies
from assay.jobs.worker import work
from assay.runs.directory import RunDirectory
from assay.runs.lock import take
from assay.studies.make import make_plan
from support.small_study import at_home, jobs, lay_study, planned, states


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def test_looking_at_a_study_that_is_not_begun_makes_no_folder(tmp_path: Path) -> None:
    plan = make_plan(str(lay_study(tmp_path)), traced=False)
    folder = StudyFolder(tmp_path / "nowhere")
    assert {folder.standing(job).state for job in plan.jobs} == {"waiting"}
    assert not folder.path.exists()


def test_a_run_is_running_while_its_lock_is_held_whatever_its_status_says(tmp_path: Path) -> None:
    study = planned(tmp_path)
    job, other = jobs(study)
    run = RunDirectory(study.path / job.run)
    run.set_status(state="running", step=4, pid=os.getpid())
    assert study.standing(job).state == "waiting"  # it left no checkpoint
    run.append("timings.jsonl", {"step": 6})
    lock = take(study.lock(job.run))
    assert lock is not None
    with lock:
        standing = study.standing(job)
        assert (standing.state, standing.status["step"], standing.ended) == ("running", 6, False)
        assert counts(map(study.standing, jobs(study))) == {"running": 1, "waiting": 1}
    assert study.standing(other).state == "waiting"


def test_runs_of_an_earlier_form_of_the_study_are_left_alone_and_known(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation", axes={})
    work(study.path)
    (old,) = states(study)
    study = planned(tmp_path, report_on="validation", axes={}, budget="9steps")
    assert list(states(study).values()) == ["waiting"]
    assert [run.name for run in study.earlier(study.plan())] == [old]


def test_a_study_may_grow_as_long_as_a_learning_rate_is_being_tried(tmp_path: Path) -> None:
    study = planned(tmp_path, lr_factors=[0.5, 1.0], axes={})
    plan = study.plan()
    assert may_grow(plan, map(study.standing, plan.jobs))
    for job in plan.jobs:
        study.run(job).set_status(state="failed")
    assert not may_grow(plan, map(study.standing, plan.jobs))
    study = planned(tmp_path)
    assert not may_grow(study.plan(), map(study.standing, jobs(study)))


def test_a_study_is_found_by_its_folder_or_its_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no study in"):
        find_folder("width", tmp_path / "runs")
    study = planned(tmp_path)
    assert is_study(study.path)
    assert studies(tmp_path / "runs") == [study]
    assert find_folder("width", tmp_path / "runs").path == find_folder(str(study.path), tmp_path).path == study.path.resolve()
    with pytest.raises(RunError, match="did you mean 'width'"):
        find_folder("widht", tmp_path / "runs")
