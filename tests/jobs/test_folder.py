"""A folder of runs: where each of them stands."""

import os
from pathlib import Path

import pytest

from assay.jobs.folder import count_states
from assay.runs.lock import acquire_lock
from support.plain_jobs import plain_jobs
from support.small_study import at_home


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def test_a_run_is_running_while_its_lock_is_held_whatever_its_status_says(tmp_path: Path) -> None:
    folder, (job, other) = plain_jobs(tmp_path)
    run = folder.run(job)
    run.path.mkdir()
    run.update_status(state="running", step=4, pid=os.getpid())
    assert folder.read_status(job).state == "waiting"  # it left no checkpoint
    run.append_line("timings.jsonl", {"step": 6})
    lock = acquire_lock(folder.lock(job.run))
    assert lock is not None
    with lock:
        found = folder.read_status(job)
        assert (found.state, found.status["step"], found.ended) == ("running", 6, False)
        assert count_states(map(folder.read_status, (job, other))) == {"running": 1, "waiting": 1}
    assert folder.read_status(other).state == "waiting"


def test_a_run_has_ended_when_it_is_finished_or_failed(tmp_path: Path) -> None:
    folder, (job, other) = plain_jobs(tmp_path)
    for state in ("finished", "failed"):
        folder.run(job).path.mkdir(exist_ok=True)
        folder.run(job).update_status(state=state)
        assert (folder.read_status(job).state, folder.read_status(job).ended, folder.ended(job)) == (state, True, True)
    assert not folder.ended(other)
