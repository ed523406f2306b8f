"""A folder of runs: where each of them stands."""

import os
from pathlib import Path

import pytest

from assay.jobs.folder import counts
from assay.runs.lock import take
from support.plain_jobs import plain_jobs
from support.small_study import at_home


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def test_a_run_is_running_while_its_lock_is_held_whatever_its_status_says(tmp_path: Path) -> None:
    folder, (job, other) = plain_jobs(tmp_path)
    run = folder.run(job)
    run.path.mkdir()
    run.set_status(state="running", step=4, pid=os.getpid())
    assert folder.status_of(job).state == "waiting"  # it left no checkpoint
    run.append("timings.jsonl", {"step": 6})
    lock = take(folder.lock(job.run))
    assert lock is not None
    with lock:
        found = folder.status_of(job)
        assert (found.state, found.status["step"], found.ended) == ("running", 6, False)
        assert counts(map(folder.status_of, (job, other))) == {"running": 1, "waiting": 1}
    assert folder.status_of(other).state == "waiting"


def test_a_run_has_ended_when_it_is_finished_or_failed(tmp_path: Path) -> None:
    folder, (job, other) = plain_jobs(tmp_path)
    for state in ("finished", "failed"):
        folder.run(job).path.mkdir(exist_ok=True)
        folder.run(job).set_status(state=state)
        assert (folder.status_of(job).state, folder.status_of(job).ended, folder.ended(job)) == (state, True, True)
    assert not folder.ended(other)
