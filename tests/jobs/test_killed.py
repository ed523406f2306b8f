"""kill -9 of a worker and of the pool, in the middle: the study goes on, and nothing is lost or made twice."""

import os
import signal
from pathlib import Path

import pytest

from assay.runs.directory import RunDirectory
from assay.studies.folder import StudyFolder
from assay.studies.workers import run_worker
from support.small_study import at_home, jobs, metrics, planned, start, states, wait_until
from support.trained import call

LONG = {
    "budget": "300steps",
    "report_on": "validation",
    "set": ["train.log_every=10steps", "train.validate_every=300steps", "train.samples=0", "train.save_every=10steps"],
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def step(study: StudyFolder, name: str) -> int:
    """The step of the last checkpoint of a run."""
    return int(RunDirectory(study.path / name).status().get("step", 0))


@pytest.mark.slow
def test_kill_9_of_a_worker_and_of_the_pool_loses_and_repeats_nothing(tmp_path: Path) -> None:
    study = planned(tmp_path, **LONG)
    base, wide = (job.run for job in jobs(study))
    pool = start("study", "run", tmp_path / "width.toml", "--jobs", 1)
    wait_until(lambda: step(study, base) > 50)
    first = RunDirectory(study.path / base).status()["pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: RunDirectory(study.path / base).status()["pid"] != first)  # another worker goes on
    assert 50 < step(study, base) < 300
    wait_until(lambda: step(study, wide) > 50)
    pool.kill()
    pool.communicate()
    wait_until(lambda: "running" not in states(study).values())
    status = RunDirectory(study.path / wide).status()
    assert status["state"] == "interrupted"  # by the worker itself, after it had saved
    assert states(study) == {base: "finished", wide: "interrupted"}
    saved = study.path / wide / "checkpoints" / f"step-{status['step']:08d}"
    assert saved.is_dir()
    run_worker(study.path)
    assert states(study) == {base: "finished", wide: "finished"}
    log = study.log(jobs(study)[1]).read_text(encoding="utf-8")
    assert f"{wide}, from step {status['step']}\n" in log
    for name in (base, wide):
        alone = call("train", study.path / "jobs" / f"{name}.toml", "--json").json["run"]
        assert metrics(study.path / name) == metrics(Path(alone))


@pytest.mark.slow
def test_ctrl_c_saves_the_runs_and_says_how_to_go_on(tmp_path: Path) -> None:
    study = planned(tmp_path, **{**LONG, "budget": "100000steps", "axes": {}})
    pool = start("study", "run", tmp_path / "width.toml", "--jobs", 1)
    (name,) = states(study)
    wait_until(lambda: step(study, name) > 20)
    os.kill(pool.pid, signal.SIGINT)
    out, _ = pool.communicate(timeout=60)
    assert pool.returncode == 130
    assert "0 of 1 runs are finished; go on with: assay study run" in out
    assert f"begins    {name}" in out
    assert states(study) == {name: "interrupted"}
