"""Pools on one study: they share its runs."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from assay.jobs.folder import JobStatus
from assay.studies.plan import Plan, PlannedJob
from assay.studies.pool import Monitor, run_pool
from support.small_study import at_home, jobs, metrics, planned, start, states, wait_until


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def quiet(plan: Plan, statuses: Sequence[JobStatus[PlannedJob]]) -> None:
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
    look = Monitor(study, lambda plan, statuses: shown.append(len(statuses)))
    first = look()
    assert (first.free, first.running, first.done) == (2, 0, False)
    assert look().progress == first.progress
    for job in jobs(study):
        study.run(job).path.mkdir()
        study.run(job).set_status(state="failed", failure="diverged" if job.lr_factor == 1 else "error")
    failed = look()
    assert (failed.free, failed.done) == (0, True)
    assert failed.progress != first.progress
    assert shown == [2, 2, 2]
