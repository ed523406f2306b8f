"""A worker: it makes the runs of a folder that nobody else makes, one after another, until none is left.

Workers know nothing of each other. Each looks into the folder for a run that is neither finished nor failed, takes its lock, and trains it
or goes on with it from its last checkpoint. A run comes out bit for bit as `assay train jobs/<run>.toml` makes it, however often it was
broken off, on as many threads as it was begun with.
"""

import gc
import os
import platform
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Literal, TextIO

import torch
from rich.console import Console

from assay.core import recipe
from assay.core.devices import resolve
from assay.core.parallel import Parallel
from assay.core.signals import heeding
from assay.data.prepare import Prepared
from assay.errors import OUT_OF_MEMORY, AssayError, Interrupted, failure_of, out_of_memory
from assay.experiment.assemble import assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.jobs.folder import LOG, JobFolder
from assay.jobs.job import JOBS, Job, JobType
from assay.runs.checkpoint_ref import step_name, steps_in
from assay.runs.directory import CONFIG, RunDirectory
from assay.runs.lock import Lock, take
from assay.tracking.console import ConsoleTracker
from assay.tracking.several import trackers
from assay.trainer.resume import reopen
from assay.trainer.start import write_run
from assay.trainer.trainer import Fit
from assay.training import checkpoint as checkpoints
from assay.training.eta import Clock
from assay.training.hook import Hook

TRIES = 3  # deaths of its process without getting further, after which a run counts as failed
PAUSE = 1.0  # seconds between two looks for runs that follow from those that others are making
AGAIN = 10.0  # seconds until a worker whose pool is gone is told once more, should a library have swallowed the first time
WIDTH = 200  # columns of a run's log

Tell = Callable[[str], None]
Outcome = Literal["finished", "failed"]


def say(text: str) -> None:
    """Print a line at once, as into the log of a cluster's job."""
    print(text, flush=True)  # noqa: T201


def make_runs(
    folder: JobFolder,
    jobs: Callable[[], Sequence[JobType]],
    may_grow: Callable[[Sequence[JobType]], bool],
    data_dir: Path | None,
    tell: Tell,
) -> Counter[Outcome]:
    """Make runs until none is left that nobody makes; how many were finished, and how many failed.

    `jobs` lists them as they stand, and is asked again after each run; `may_grow` says whether others may yet follow from those listed,
    which somebody else makes. A failed run is recorded with its reason and does not stop the rest. Raises Interrupted, after the run was
    saved, when a signal asks for it (see `interruptible`), and AssayError where this process cannot go on.
    """
    made, threads = Counter[Outcome](), torch.get_num_threads()
    while True:
        listed = jobs()
        outcome = _make_one(folder, listed, data_dir, tell)
        torch.set_num_threads(threads)
        if outcome is not None:
            made[outcome] += 1
        elif may_grow(listed):
            time.sleep(PAUSE)
        else:
            return made


def prepare_base(config: ExperimentConfig, data_dir: Path | None) -> Prepared:
    """The text of the base of all runs, whose device is there as well: what is missing here is missing for each. Raises UserError."""
    resolve(config.train.device)
    return load_data(config, data_dir)


def retry(folder: JobFolder, jobs: Iterable[Job]) -> int:
    """Let the failed runs be made again, each from its last checkpoint; how many they are."""
    count = 0
    for job in jobs:
        lock = take(folder.lock(job.run))
        if lock is None:
            continue
        with lock:
            if folder.run(job).status()["state"] == "failed":
                folder.run(job).set_status(state="interrupted", failure=None, error=None)
                lock.write({})
                count += 1
    return count


def end_with_input() -> None:
    """Stop this process, as by SIGTERM, when its standard input ends: when whoever holds the other end of the pipe is gone, even killed."""

    def watch() -> None:
        while os.read(0, 1):  # nobody writes anything
            pass
        while True:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(AGAIN)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM, and SIGUSR1 by which a cluster tells that the time is over, end what is inside; a run that trains saves itself first."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted("stopped; what was saved is kept", number)

    with heeding((signal.SIGTERM, signal.SIGUSR1), stop):
        yield


def _make_one(folder: JobFolder, jobs: Iterable[Job], data_dir: Path | None, tell: Tell) -> Outcome | None:
    """Make the first run that nobody makes; None where there is none."""
    for job in jobs:
        if folder.ended(job):
            continue
        lock = take(folder.lock(job.run))
        if lock is None:
            continue
        with lock:
            if not folder.ended(job):  # it may have been finished between the two looks
                return make_run(folder, job, lock, data_dir, tell)
    return None


def make_run(folder: JobFolder, job: Job, lock: Lock, data_dir: Path | None, tell: Tell, hooks: Sequence[Hook] = ()) -> Outcome:
    """Train a run, whose lock is held, to its end or to its failure. Raises Interrupted, after it was saved, where it was asked to stop."""
    run = folder.run(job)
    run.path.mkdir(exist_ok=True)
    step = _last_usable(run)
    died = lock.note().get("died", 0) if lock.note().get("step") == step else 0
    if died >= TRIES:
        why = f"its process died {died} times without getting beyond step {step} (out of memory, or killed?)"
        run.set_status(state="failed", failure="error", error=why)
        tell(f"{job.run}: failed: {why}")
        return "failed"
    lock.write({"died": died + 1, "step": step, "pid": os.getpid(), "host": platform.node()})  # true unless something else is written
    tell(f"{job.run}: begins" if not step else f"{job.run}: goes on from step {step}")
    with folder.log(job).open("a", encoding="utf-8", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
        try:
            fit = _opened(folder, job, data_dir, log, hooks)
            figures = fit.to_the_end()
            said = f"{figures['bits_per_byte']:.4f} bits per byte on validation"
        except (Interrupted, KeyboardInterrupt, SystemExit):
            lock.write({})
            raise
        except Exception as error:  # whatever it is, it is this run's, and the next one may be spared
            said = _failed(run, error, log)
    state: Outcome = "finished" if run.status()["state"] == "finished" else "failed"
    tell(f"{job.run}: {state}: {said}")
    return state


def _failed(run: RunDirectory, error: Exception, log: TextIO) -> str:
    """Record why a run failed, in a sentence. Raises AssayError where the GPU is of no more use to this process."""
    if not isinstance(error, AssayError):
        traceback.print_exc(file=log)
    reason = OUT_OF_MEMORY if out_of_memory(error) else str(error) if isinstance(error, AssayError) else f"{type(error).__name__}: {error}"
    reason = " ".join(reason.split())
    print(f"failed: {reason}", file=log)
    run.set_status(state="failed", failure=failure_of(error), error=reason)
    if isinstance(error, RuntimeError) and torch.cuda.is_initialized() and not out_of_memory(error):
        raise AssayError(f"{run.name}: {reason}; a process whose GPU had an error cannot go on, start another one") from error
    return reason


def _opened(folder: JobFolder, job: Job, data_dir: Path | None, log: TextIO, hooks: Sequence[Hook]) -> Fit:
    """The run of a job, ready to train: where its last checkpoint stands, else at its beginning."""
    _forget_the_last_run()
    run, config = folder.run(job), ExperimentConfig.make(job.config)
    _keep_config(folder.path / JOBS / f"{job.run}.toml", job)
    tracker = trackers(ConsoleTracker(Console(file=log, width=WIDTH, highlight=False, emoji=False, force_terminal=False)))
    if _last_usable(run):
        torch.set_num_threads(run.provenance().get("threads") or torch.get_num_threads())  # on others, sums round differently
        fit = reopen(run, [], data_dir, (Parallel(), tracker), hooks)
        tracker.begin(f"{run.name}, from step {fit.state.step}", {"run": str(run.path)})
        return fit
    _empty(run)
    prepared = load_data(config, data_dir)
    write_run(run, config, prepared)
    tracker.begin(run.name, {"run": str(run.path), "threads": str(torch.get_num_threads())})
    return Fit(run, assemble(config, prepared, Parallel()), tracker, Clock(), hooks)


def _last_usable(run: RunDirectory) -> int:
    """The step of the last checkpoint that is as it was written, those that are not being removed; 0 where there is none."""
    if (run.path / CONFIG).is_file():
        for step in reversed(steps_in(run.checkpoints)):
            path = run.checkpoints / step_name(step)
            if not checkpoints.damaged(path):
                return step
            shutil.rmtree(path)
    return 0


def _empty(run: RunDirectory) -> None:
    """Remove what a process left that died before its first checkpoint, but for the log."""
    for item in run.path.iterdir():
        if item.is_dir():
            shutil.rmtree(item)
        elif item.name != LOG:
            item.unlink()


def _keep_config(file: Path, job: Job) -> None:
    """Write the config of a run that was not yet in the plan when that was written."""
    if not file.is_file():
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        partial.write_text(recipe.dump(job.config), encoding="utf-8")
        partial.rename(file)


def _forget_the_last_run() -> None:
    """Free what the last run of this process held: memory, and the compiled code, of which torch keeps only so many forms of a function."""
    gc.collect()
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
