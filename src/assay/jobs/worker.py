"""A worker: it trains the runs of a folder that nobody else trains, one after another, until none is left.

Workers know nothing of each other. Each looks into the folder for a run that is neither finished nor failed, takes its lock, and trains it
or resumes it from its last checkpoint. A run comes out bit for bit as `assay train jobs/<run>.toml` makes it, however often it was
interrupted, on as many threads as it was started with.
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
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Literal, NamedTuple, TextIO

import torch
from rich.console import Console

from assay.core.devices import resolve_device
from assay.core.parallel import Parallel
from assay.core.signals import handle_signals
from assay.core.words import Notify, format_count
from assay.data.prepare import PreparedText
from assay.errors import AssayError, Interrupted, classify_failure, explain_failure, explain_os_error, is_out_of_memory
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.jobs.folder import Job, JobFolder, JobType
from assay.runs.checkpoint_ref import format_step, list_steps
from assay.runs.directory import CONFIG, LOG, RunDirectory
from assay.runs.lock import RUN_LOCK, Lock, RunBusyError, acquire_lock, lock_run
from assay.terminal.streams import open_log
from assay.tracking.combined import combine_trackers
from assay.tracking.console import ConsoleTracker
from assay.trainer.train_run import start_or_resume
from assay.trainer.trainer import Trainer
from assay.training import checkpoint as checkpoints
from assay.training.hook import Hook

MAX_DEATHS = 3  # deaths of its process without getting further, after which a run counts as failed
POLL_INTERVAL = 1.0  # seconds between two looks for runs that follow from those that others are making
SIGNAL_INTERVAL = 10.0  # seconds until a worker whose pool is gone gets the signal again, should a library have swallowed the first
WIDTH = 200  # columns of a run's log

JobOutcome = Literal["finished", "failed"]


def print_line(text: str) -> None:
    """Print a line at once, as into the log of a cluster's job."""
    print(text, flush=True)  # noqa: T201


def make_runs(
    folder: JobFolder, list_jobs: Callable[[], Sequence[JobType]], may_add_jobs: Callable[[Sequence[JobType]], bool],
    data_dir: Path | None, notify: Notify,
) -> Counter[JobOutcome]:  # fmt: skip
    """Make runs until none is left that nobody makes; count those that were finished and those that failed.

    `list_jobs` is called again after each run; `may_add_jobs` says whether others may yet follow from those listed, which another worker
    makes. A failed run is recorded with its reason and does not stop the rest. Raises Interrupted, after the run was saved, when a signal
    asks for it (see `interrupt_on_signals`), and AssayError where this process cannot go on.
    """
    made, threads = Counter[JobOutcome](), torch.get_num_threads()
    while True:
        listed = list_jobs()
        outcome = _make_next_run(folder, listed, data_dir, notify)
        torch.set_num_threads(threads)
        if outcome is not None:
            made[outcome] += 1
        elif may_add_jobs(listed):
            time.sleep(POLL_INTERVAL)
        else:
            return made


def prepare_base(config: ExperimentConfig, data_dir: Path | None) -> PreparedText:
    """Prepare the text of the base of all runs, and find its device: what is missing here is missing for each. Raises UserError."""
    resolve_device(config.train.device)
    return load_data(config, data_dir)


def retry_failed(folder: JobFolder, jobs: Iterable[Job]) -> int:
    """Let the failed runs be made again, each from its last checkpoint; count them."""
    count = 0
    for job in jobs:
        if folder.run(job).status()["state"] != "failed":
            continue
        lock = acquire_lock(folder.lock(job.run))
        with lock or nullcontext(), suppress(RunBusyError):
            if lock is not None:
                with lock_run(folder.run(job).path):
                    folder.run(job).update_status(state="interrupted", failure=None, error=None)
                lock.write_note({})
                count += 1
    return count


def stop_when_stdin_closes() -> None:
    """Stop this process, as by SIGTERM, when its standard input ends: the process at the other end of the pipe is gone, even killed."""

    def watch() -> None:
        while os.read(0, 1):  # nobody writes anything
            pass
        while True:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(SIGNAL_INTERVAL)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Raise Interrupted on SIGTERM, and on SIGUSR1, which a cluster sends when the time is over; a run that trains saves itself first."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted("stopped; what was saved is kept", number)

    with handle_signals((signal.SIGTERM, signal.SIGUSR1), stop):
        yield


def _make_next_run(folder: JobFolder, jobs: Iterable[Job], data_dir: Path | None, notify: Notify) -> JobOutcome | None:
    """Make the first run that nobody makes; None where there is none."""
    for job in jobs:
        if folder.ended(job):
            continue
        lock = acquire_lock(folder.lock(job.run))
        with lock or nullcontext(), suppress(RunBusyError):  # somebody resumes it by hand; its result is taken when it has one
            if lock is not None:
                run_lock = lock_run(folder.run(job).path)
                with run_lock:
                    if not folder.ended(job):  # it may have been finished between the two looks
                        return make_run(folder, job, JobLocks(lock, run_lock), data_dir, notify)
    return None


class JobLocks(NamedTuple):
    """What the worker that makes a run holds: the job, with a note of how often it was tried, and the directory of its run."""

    job: Lock
    run: Lock


def make_run(folder: JobFolder, job: Job, locks: JobLocks, data_dir: Path | None, notify: Notify, hooks: Sequence[Hook] = ()) -> JobOutcome:
    """Train a run, whose locks are held, to its end or to its failure. Raises Interrupted, once it is saved, where it was asked to stop."""
    run, lock = folder.run(job), locks.job
    try:
        step = _find_last_usable_step(run)
    except OSError as refused:
        return _give_up(run, explain_os_error(refused), notify)
    note = lock.read_note()
    died = note.get("died", 0) if note.get("step") == step else 0
    if died >= MAX_DEATHS:
        reason = f"its process died {format_count(died, 'time')} without getting beyond step {step} (out of memory, or killed?)"
        return _give_up(run, reason, notify)
    lock.write_note({"died": died + 1, "step": step, "pid": os.getpid(), "host": platform.node()})  # true unless something else is written
    notify(f"{job.run}: starts" if not step else f"{job.run}: resumes from step {step}")
    with open_log(folder.log(job)) as log, redirect_stdout(log), redirect_stderr(log):
        try:
            figures = _start_or_resume(folder, job, step, data_dir, log, locks.run, hooks).run()
            result = f"{figures['bits_per_byte']:.4f} bits per byte on validation"
        except (Interrupted, KeyboardInterrupt, SystemExit):
            lock.write_note({})
            raise
        except Exception as error:  # whatever it is, it is this run's, and the next one may be spared
            result = _record_failure(run, error, log)
    state: JobOutcome = "finished" if run.status()["state"] == "finished" else "failed"
    notify(f"{job.run}: {state}: {result}")
    return state


def _give_up(run: RunDirectory, reason: str, notify: Notify) -> JobOutcome:
    """Record why a run is not begun again."""
    run.update_status(state="failed", failure="error", error=reason)
    notify(f"{run.name}: failed: {reason}")
    return "failed"


def _record_failure(run: RunDirectory, error: Exception, log: TextIO) -> str:
    """Record why a run failed, in a sentence. Raises AssayError where the GPU is of no more use to this process."""
    reason = explain_failure(error)
    if not isinstance(error, AssayError):
        traceback.print_exc(file=log)
    print(f"failed: {reason}", file=log)
    run.update_status(state="failed", failure=classify_failure(error), error=reason)
    if isinstance(error, RuntimeError) and torch.cuda.is_initialized() and not is_out_of_memory(error):
        raise AssayError(f"{run.name}: {reason}; a process whose GPU had an error cannot go on, start another one") from error
    return reason


def _start_or_resume(
    folder: JobFolder, job: Job, step: int, data_dir: Path | None, log: TextIO, lock: Lock, hooks: Sequence[Hook]
) -> Trainer:
    """Prepare the run of a job to train from the checkpoint of a step; from its beginning at step 0."""
    _free_memory()
    run = folder.run(job)
    folder.write_config(job)  # it may have followed from other runs after the plan was written
    main = ConsoleTracker(Console(file=log, width=WIDTH, highlight=False, emoji=False, force_terminal=False))
    tracker = combine_trackers(main, logs=False)  # it is the run's log itself, with what the job prints besides
    if step:
        torch.set_num_threads(run.provenance().get("threads") or torch.get_num_threads())  # on others, sums round differently
    else:
        _remove_leftovers(run)
    trainer = start_or_resume(run, ExperimentConfig.make(job.config), data_dir, Parallel(), tracker, lock, hooks)
    threads = str(torch.get_num_threads())
    tracker.start(f"{run.name}, from step {step}" if step else run.name, {"run": str(run.path)} | ({} if step else {"threads": threads}))
    return trainer


def _find_last_usable_step(run: RunDirectory) -> int:
    """Find the step of the last undamaged checkpoint, and remove damaged ones; 0 where there is none. Raises OSError."""
    if (run.path / CONFIG).is_file():
        for step in reversed(list_steps(run.checkpoints)):
            path = run.checkpoints / format_step(step)
            if not checkpoints.find_damaged(path):
                return step
            shutil.rmtree(path)
    return 0


def _remove_leftovers(run: RunDirectory) -> None:
    """Remove what a process left that died before its first checkpoint, but for the log."""
    for item in run.path.iterdir():
        if item.is_dir():
            shutil.rmtree(item)
        elif item.name not in (LOG, RUN_LOCK):
            item.unlink()


def _free_memory() -> None:
    """Free what the last run of this process held: memory, and the compiled code, of which torch keeps only so many forms of a function."""
    gc.collect()
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
