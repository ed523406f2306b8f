"""A worker of a study: what it makes when some runs follow from others, and what it leaves to those who sent it."""

import pickle
from pathlib import Path

import pytest

from assay.studies.work import work
from support.small_study import at_home, jobs, planned, states


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def test_learning_rates_are_chosen_and_the_runs_that_follow_are_made(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation", lr_factors=[0.5, 1.0], tuning_seeds=[0], seeds=[0, 1], axes={})
    assert len(jobs(study)) == 2
    work(study.path)
    plan = study.plan()
    assert len(plan.jobs) == 3
    assert plan.chosen.keys() == {"base"}
    assert set(states(study).values()) == {"finished"}
    assert {path.stem for path in (study.path / "jobs").iterdir()} == {job.run for job in plan.jobs}


def test_a_job_of_a_cluster_can_carry_it() -> None:
    assert pickle.loads(pickle.dumps(work)) is work
