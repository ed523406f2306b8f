"""A file that is there but cannot be read is named, and not called damaged: nobody is told to delete it, and nobody deletes it."""

import time
from dataclasses import replace
from errno import EIO
from pathlib import Path

import pytest

from assay.core.cache import SETTLED
from assay.runs.checkpoint_ref import format_step, list_steps
from assay.runs.directory import list_runs
from faults.injection import Action, Command, Fault
from faults.recovery import Recovery, train_command
from faults.test_study import StudyRecovery

UNREADABLE = Fault(("open",), 1, Action.ONWARDS, EIO)
SENTENCE = "input/output error; the disk or the network drive has a fault; see the system's log, then try again or name another place"


@pytest.mark.parametrize(
    "file", ["state.pt", *(pytest.param(name, marks=pytest.mark.slow) for name in ("manifest.json", "model.safetensors"))]
)
def test_a_checkpoint_that_cannot_be_read_is_not_called_damaged(cached: Recovery, home: Path, file: str) -> None:
    assert cached.warm.run(train_command(home, Fault(("rename",), 14, Action.KILL))).code == -9
    (run,) = list_runs(home / "runs")
    steps = list_steps(run.checkpoints)
    unreadable = run.checkpoints / format_step(steps[-1]) / file
    ending = cached.warm.run(Command(("resume", str(run.path)), home, UNREADABLE, roots=(unreadable,)))
    assert (ending.code, ending.err) == (2, f"assay: error: {unreadable}: {SENTENCE}\n")
    assert list_steps(run.checkpoints) == steps


@pytest.mark.slow
def test_a_worker_keeps_a_checkpoint_that_it_cannot_read(study: StudyRecovery) -> None:
    home = study.make_home()
    assert study.work(home, Fault(("rename",), 14, Action.KILL)).code == -9
    (run,) = [run for path in (home / "runs").glob("*/plan.json") for run in list_runs(path.parent)]
    steps = list_steps(run.checkpoints)
    assert steps, "the run must have saved something"
    ending = study.work(home, UNREADABLE, roots=(run.checkpoints,))
    assert ending.code == 1
    assert list_steps(run.checkpoints) == steps
    assert run.status()["error"].endswith(f"manifest.json: {SENTENCE}")


@pytest.mark.slow
def test_an_array_of_a_cached_text_that_breaks_off_is_named(cached: Recovery, home: Path) -> None:
    (array,) = (home / "cache" / "prepared").glob("*/train.offsets.npy")
    time.sleep(2 * SETTLED / 1e9)  # a cache that has just been laid out is hashed more than once
    broken = Fault(("read",), 1, Action.ONWARDS, EIO)
    calls = cached.warm.run(Command(train_command(home).arguments, home, replace(broken, at=0), roots=(array,))).seen
    assert calls > 1
    ending = cached.warm.run(Command(train_command(home).arguments, home, replace(broken, at=calls), roots=(array,)))
    assert (ending.code, ending.err) == (2, f"assay: error: {array}: {SENTENCE}\n")
