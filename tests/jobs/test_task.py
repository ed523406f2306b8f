"""What a job calls, here by submitit on this machine."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from submitit import LocalExecutor, LocalJob

from assay.jobs.slurm import SlurmTask
from jobs.functions import broken, cancelled, counted_together, out_of_time, refused


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalExecutor:
    """Runs a job in a process of this machine, requeues included."""
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", "USR1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    return LocalExecutor(tmp_path / "jobs")


def log(job: LocalJob[Any]) -> str:
    """What a job wrote."""
    return str(job.stdout()) + str(job.stderr())


def test_a_job_that_is_out_of_time_is_called_again(executor: LocalExecutor, tmp_path: Path) -> None:
    job = executor.submit(SlurmTask(out_of_time), tmp_path)
    assert job.result() == 2
    assert "assay: stopped after step 3 and saved\n" in log(job)
    assert "Requeued job" in log(job)


def test_a_job_that_was_cancelled_is_not_called_again(executor: LocalExecutor, tmp_path: Path) -> None:
    job = executor.submit(SlurmTask(cancelled), tmp_path)
    job.wait()
    assert (tmp_path / "calls").read_text() == "x"
    assert "Requeued job" not in log(job)


def test_a_user_s_mistake_is_told_in_a_sentence(executor: LocalExecutor) -> None:
    job = executor.submit(SlurmTask(refused))
    job.wait()
    assert "assay: error: model.width: is odd; make it even\n" in log(job)
    assert "Traceback" not in log(job)


def test_another_failure_is_told_with_its_place(executor: LocalExecutor) -> None:
    job = executor.submit(SlurmTask(broken))
    assert "nobody thought of this" in str(job.exception())
    assert "jobs/functions.py" in str(job.exception())


@pytest.mark.slow
def test_the_processes_of_a_job_train_together(executor: LocalExecutor) -> None:
    executor.update_parameters(tasks_per_node=2)
    assert sorted(executor.submit(SlurmTask(counted_together)).results()) == [(0, 3.0), (1, 3.0)]


def test_a_job_that_may_not_be_queued_again_says_so(executor: LocalExecutor, tmp_path: Path) -> None:
    executor.max_num_timeout = 0
    job = executor.submit(SlurmTask(out_of_time), tmp_path)
    job.wait()
    assert (tmp_path / "calls").read_text() == "x"
    assert "assay: Job not requeued because: timed-out too many times. (launch.requeues)\n" in log(job)


def test_a_signal_after_the_work_is_done_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGUSR1)
    try:
        assert SlurmTask(len)("done") == 4
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
