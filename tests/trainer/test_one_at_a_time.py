"""Only one process at a time trains in a run's directory."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

import assay
from assay.core.parallel import Parallel
from assay.errors import RunError
from assay.experiment.load import read_config
from assay.runs.directory import CONFIG, METRICS, RunDirectory
from assay.runs.lock import RunBusyError, lock_run
from assay.tracking.base import Tracker
from assay.trainer.callback import Event
from assay.trainer.train_run import start_or_resume
from support.experiment import write_recipe, write_text


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path / "runs"))
    return write_recipe(tmp_path, write_text(tmp_path))


def test_a_run_that_is_training_is_not_resumed_by_another(recipe: Path, tmp_path: Path) -> None:
    refused: list[str] = []

    def resume_meanwhile(event: Event) -> None:
        if event.name == "step" and event.step == 12:
            with pytest.raises(RunError) as caught:
                assay.resume("last")
            refused.append(str(caught.value))

    run = assay.train(recipe, "train.save_every=5steps", hooks=[resume_meanwhile])
    assert run.status.state == "finished"
    steps = [line["step"] for line in run.metrics() if "loss" in line]
    assert steps == sorted(set(steps))
    (sentence,) = refused
    assert "is being trained by process" in sentence
    assert assay.resume(run, "train.budget=25steps").status.step == 25  # free again


def test_the_lock_is_given_back_when_its_holder_is_gone(tmp_path: Path) -> None:
    lock = lock_run(tmp_path)
    shared = lock.share()
    lock.release()
    with pytest.raises(RunBusyError, match=rf"is being trained by process {os.getpid()} on .* since .*; wait until it ends, or stop it"):
        lock_run(tmp_path)
    del shared
    assert lock_run(tmp_path).is_real


def test_a_resume_takes_the_lock_before_it_reads_anything(recipe: Path) -> None:
    run = assay.train(recipe)
    (run.path / CONFIG).write_text("changed while another process resumes")
    with lock_run(run.path), pytest.raises(RunBusyError):
        run.resume("train.budget=22steps")


def test_a_file_system_without_locks_is_told_once_and_works(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    told: list[str] = []
    tracker = Tracker()
    monkeypatch.setattr(tracker, "log_message", told.append)
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert assay.train(recipe, tracker=tracker).status.state == "finished"
    assert [text for text in told if "locks" in text] == [
        "locks do not work on this file system or system: make sure that no other process trains this run"
    ]


def test_a_refused_resume_leaves_the_run_free(recipe: Path) -> None:
    run = assay.train(recipe)
    for _ in range(2):
        with pytest.raises(RunError, match="give a larger total"):
            run.resume("train.budget=3steps")
    assert RunDirectory(run.path).status()["state"] == "finished"
    assert run.resume("train.budget=22steps").status.step == 22


def test_a_job_that_begins_where_another_trains_writes_nothing_over(recipe: Path) -> None:
    """Before the first checkpoint there is nothing to resume, so a second start would begin anew in the same files."""
    kept: list[tuple[str, str]] = []

    def begin_meanwhile(event: Event) -> None:
        if event.name == "step" and event.step == 7:
            directory = assay.load("last").directory
            before = (directory.path / METRICS).read_text()
            with pytest.raises(RunError, match="is being trained by process"):
                start_or_resume(directory, read_config(directory), None, Parallel(), Tracker(), lock_run(directory.path))
            kept.append((before, (directory.path / METRICS).read_text()))

    assert assay.train(recipe, "train.validate_every=20steps", hooks=[begin_meanwhile]).status.state == "finished"
    ((before, after),) = kept
    assert before == after != ""
