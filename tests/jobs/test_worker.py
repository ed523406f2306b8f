"""A worker: what it makes, what it leaves alone, and what it does when a run fails or was broken off."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from assay.errors import DataError, Interrupted
from assay.jobs import worker as working
from assay.jobs.folder import Job, count_states
from assay.jobs.worker import MAX_DEATHS, make_runs, retry_failed
from assay.runs.directory import RunDirectory
from assay.runs.lock import acquire_lock, lock_run
from assay.studies.folder import StudyFolder
from assay.studies.workers import run_worker
from assay.trainer.trainer import Trainer
from support.plain_jobs import plain_jobs
from support.small_study import STUDY, at_home, jobs, metrics, planned, states
from support.trained import call

DROPOUT = "model.block.feedforward_dropout=0.1"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def made(study: StudyFolder) -> list[str]:
    """The lines that a worker tells while it makes what is left."""
    told: list[str] = []
    run_worker(study.path, notify=told.append)
    return told


def test_a_run_of_a_study_is_bit_for_bit_that_of_assay_train_and_is_never_made_again(tmp_path: Path) -> None:
    study = planned(tmp_path, set=[*STUDY["set"], DROPOUT], report_on="validation")
    assert sorted(states(study).values()) == ["waiting", "waiting"]
    told = made(study)
    assert [line.split(": ")[1] for line in told] == ["starts", "finished", "starts", "finished"]
    for job in jobs(study):
        alone = call("train", study.path / "jobs" / f"{job.run}.toml", "--json").json
        assert metrics(Path(alone["run"])) == metrics(study.path / job.run)
        assert alone["bits_per_byte"] == RunDirectory(study.path / job.run).status()["bits_per_byte"]
        assert "step 8/8" in study.log(job).read_text(encoding="utf-8")
    assert made(study) == []


@pytest.mark.slow
def test_new_seeds_and_variants_make_only_the_new_runs(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation")
    made(study)
    first = {job.run: (study.path / job.run / "status.json").stat().st_mtime_ns for job in jobs(study)}
    study = planned(tmp_path, report_on="validation", seeds=[0, 1], variants={"deep": {"model.depth": 2}})
    assert count_states(map(study.read_status, jobs(study))) == {"finished": 2, "waiting": 4}
    told = made(study)
    assert sum(line.endswith(": starts") for line in told) == 4
    assert all((study.path / name / "status.json").stat().st_mtime_ns == changed for name, changed in first.items())
    assert set(states(study).values()) == {"finished"}


def test_a_run_that_somebody_resumes_by_hand_is_left_alone_and_taken_afterwards(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation")
    first, second = jobs(study)
    study.run(first).path.mkdir()
    with lock_run(study.run(first).path):
        assert [line.split(":")[0] for line in made(study)] == [second.run] * 2
        assert states(study) == {first.run: "running", second.run: "finished"}
    assert [line.split(":")[0] for line in made(study)] == [first.run] * 2
    assert set(states(study).values()) == {"finished"}


def test_a_run_that_diverges_is_recorded_with_its_reason_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation", axes={"optimizer.lr": [1e30], "model.width": [24]})
    told = made(study)
    assert [line.split(": ")[1] for line in told] == ["starts", "finished", "starts", "failed", "starts", "finished"]
    (failed,) = [one for one in map(study.read_status, jobs(study)) if one.state == "failed"]
    assert "lower the learning rate" in failed.status["error"]
    assert "failed: " in study.log(failed.job).read_text(encoding="utf-8")
    assert made(study) == []
    assert retry_failed(study, jobs(study)) == 1
    assert len(made(study)) == 2


def test_an_error_of_any_kind_fails_one_run_with_a_trace_in_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = planned(tmp_path, report_on="validation")
    errors = [MemoryError(), ZeroDivisionError("by\nzero")]

    def broken(fit: Trainer) -> None:
        raise errors.pop()

    monkeypatch.setattr(Trainer, "run", broken)
    made(study)
    base, wide = map(study.read_status, jobs(study))
    assert base.status["error"] == "ZeroDivisionError: by zero"
    assert "Traceback" in study.log(base.job).read_text(encoding="utf-8")
    assert wide.status["error"].startswith("out of memory: ")


@pytest.mark.parametrize("steps", [0, 4])
def test_a_run_that_was_broken_off_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    study = planned(tmp_path, report_on="validation", axes={})
    (job,) = jobs(study)
    run_worker(study.path)
    undisturbed = metrics(study.path / job.run)
    shutil.rmtree(study.path / job.run)
    save = Trainer.save

    def killed(fit: Trainer) -> None:
        if fit.state.step > steps:
            raise SystemExit
        save(fit)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", killed)
        with pytest.raises(SystemExit):
            run_worker(study.path)
    assert study.read_status(job).state == ("interrupted" if steps else "waiting")
    with (study.path / job.run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 6, "los')  # it was killed while it wrote
    told = made(study)
    assert told[0] == f"{job.run}: " + (f"resumes from step {steps}" if steps else "starts")
    assert metrics(study.path / job.run) == undisturbed


def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = planned(tmp_path, report_on="validation", axes={})
    (job,) = jobs(study)
    run_worker(study.path)
    undisturbed = metrics(study.path / job.run)
    run = RunDirectory(study.path / job.run)
    run.update_status(state="running")
    (weights,) = run.checkpoints.glob("step-*/model.safetensors")
    weights.write_bytes(b"cut off")
    assert made(study)[0] == f"{job.run}: starts"
    assert metrics(run.path) == undisturbed


def test_a_checkpoint_that_cannot_be_read_is_kept_and_its_run_failed(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation", axes={})
    (job,) = jobs(study)
    run = RunDirectory(study.path / job.run)
    unreadable = run.checkpoints / "step-00000004" / "manifest.json"
    unreadable.parent.mkdir(parents=True)
    unreadable.symlink_to("manifest.json")  # to itself
    (run.path / "config.toml").touch()
    assert made(study) == [
        f"{job.run}: failed: {unreadable}: too many levels of symbolic links; a symbolic link leads back to itself: mend it, "
        "or name another place with ASSAY_RUNS"
    ]
    assert unreadable.is_symlink()


@pytest.mark.slow
def test_a_run_that_kills_its_process_again_and_again_counts_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = planned(tmp_path, report_on="validation", axes={})
    (job,) = jobs(study)

    class Killed(BaseException):
        """What nobody catches, as nobody catches SIGKILL."""

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("assay.trainer.train_run.write_run_files", killed)
        for _ in range(MAX_DEATHS):
            with pytest.raises(Killed):
                run_worker(study.path)
    assert "died 3 times without getting beyond step 0" in made(study)[0]
    assert study.read_status(job).state == "failed"
    retry_failed(study, jobs(study))
    assert made(study)[-1].startswith(f"{job.run}: finished")


def test_a_run_that_somebody_makes_is_left_to_them(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation")
    base, wide = jobs(study)
    lock = acquire_lock(study.lock(base.run))
    assert lock is not None
    with lock:
        assert study.read_status(base).state == "running"
        assert [line.split(": ")[0] for line in made(study)] == [wide.run, wide.run]
    assert study.read_status(base).state == "waiting"


def test_a_signal_between_two_runs_ends_the_worker_and_one_during_training_saves_first(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation", budget="2000steps", axes={})
    (job,) = jobs(study)

    def stop() -> None:
        while RunDirectory(study.path / job.run).status().get("step", 0) < 8:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Interrupted) as stopped:
        run_worker(study.path)
    thread.join()
    assert stopped.value.signal == signal.SIGUSR1
    found = study.read_status(job)
    assert (found.state, found.status["state"]) == ("interrupted", "interrupted")
    assert found.status["step"] >= 8
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_a_text_that_is_missing_fails_no_run(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation")
    (tmp_path / "data" / "inner" / "tiny.txt").unlink()
    with pytest.raises(DataError):
        run_worker(study.path)
    assert set(states(study).values()) == {"waiting"}


def test_jobs_of_no_study_are_made_and_those_that_follow_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, (first, second) = plain_jobs(tmp_path)
    listed: list[Job] = []

    def grow(known: Sequence[Job]) -> bool:
        listed.append((first, second)[len(known)])
        return len(listed) < 2

    monkeypatch.setattr(working, "POLL_INTERVAL", 0.0)
    assert make_runs(folder, lambda: list(listed), grow, None, lambda text: None) == {"finished": 1}
    assert folder.read_status(first).state == "finished"
    assert folder.read_status(second).state == "waiting"
    assert [path.stem for path in (folder.path / "jobs").iterdir()] == [first.run]
