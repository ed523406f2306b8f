"""Making the trials of a search: a pool of workers, and one worker, which makes trials until all workers have made enough.

Workers know nothing of each other. Under one lock of the folder each looks first for a trial whose worker is gone, and resumes it from its
last checkpoint; else it asks for a new one while there are too few. So trials are neither lost nor doubled, and never too many.
"""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Literal, NamedTuple

import torch

from assay.core.signals import delay_signals
from assay.core.words import Notify
from assay.errors import AssayError, ConfigError, Failure, RunError, StoppedEarly
from assay.evaluation.stored import read_final_score
from assay.jobs.pool import Pool, Workload
from assay.jobs.worker import JobLocks, interrupt_on_signals, make_run, prepare_base, print_line
from assay.runs.lock import Lock, acquire_lock, lock_run, wait_for_lock
from assay.searches.folder import SearchFolder
from assay.searches.results import SearchResults, describe_trial, read_results
from assay.searches.rungs import TrialMonitor
from assay.searches.trial import MAX_FRUITLESS, Trial, count_fruitless, count_trials, trial_name

MAX_FAILURES = 3  # trials in a row that failed without having diverged, after which a worker gives up

ProgressCallback = Callable[[SearchResults], None]  # shows again and again how far the search is
TrialOutcome = Literal["complete", "pruned", "diverged", "failed"]


def run_pool(search: SearchFolder, workers: int, data_dir: Path | None, report_progress: ProgressCallback, notify: Notify) -> None:
    """Make the trials of a search, several at a time, until there are enough, made here or elsewhere.

    A worker that ends with an error of its own had a reason that another would meet as well, so it is not replaced. Raises Interrupted
    when a signal asked to stop, after the runs were saved, and AssayError where a worker gave up or workers die for no run's fault.
    """

    def measure_workload() -> Workload:
        results = read_results(search)
        report_progress(results)
        states = [results.state(trial) for trial in results.trials]
        progress = states, [len(trial.values) for trial in results.trials]
        return Workload(results.remaining_trials + states.count("stopped"), states.count("running"), progress, results.done)

    Pool(("search",), search.path, workers, data_dir, measure_workload, notify, stop_on_error=True).run()


def run_worker(folder: Path, data_dir: Path | None = None, notify: Notify = print_line) -> Counter[TrialOutcome]:
    """Make trials until there are enough; count how they ended.

    A trial that fails is recorded with its reason and does not stop the rest. Raises Interrupted, after the run was saved, when a signal
    asks for it, UserError where the text or the device is not there, and AssayError where trial after trial fails.
    """
    search, made, failures = SearchFolder.read(folder), Counter[TrialOutcome](), 0
    threads = torch.get_num_threads()
    with interrupt_on_signals():
        prepare_base(search.base, data_dir)
        while (taken := take_next_trial(search, notify)) is not None:
            with taken.lock:
                outcome = _make_trial(search, taken.trial, data_dir)
            notify(describe_trial(search, search.journal.trials()[taken.trial.number]))
            torch.set_num_threads(threads)
            made[outcome] += 1
            failures = failures + 1 if outcome == "failed" else 0
            if failures == MAX_FAILURES:
                raise AssayError(f"{failures} trials in a row failed, so the others were not started; see why with: assay search {folder}")
    return made


class TakenTrial(NamedTuple):
    """A trial that this worker is to make."""

    trial: Trial
    lock: Lock  # held


def take_next_trial(search: SearchFolder, notify: Notify) -> TakenTrial | None:
    """Take a trial to be made and its lock: one whose worker is gone, else a new one; None where there are enough."""
    with wait_for_lock(search.lock("ask")):
        for trial in search.journal.trials():
            lock = acquire_lock(search.lock(trial_name(trial.number))) if trial.state == "running" else None
            if lock is None:
                continue
            if trial.runs:
                notify(f"{trial_name(trial.number)}: is resumed, as its worker is gone")
                return TakenTrial(trial, lock)
            with lock:
                search.journal.fail(trial.number, ending="abandoned", reason="its worker was gone before its configuration was written")
        while (new := _propose(search)) is not None:
            if not new.runs:
                notify(describe_trial(search, search.journal.trials()[new.number]))
            else:
                lock = acquire_lock(search.lock(trial_name(new.number)))
                assert lock is not None
                return TakenTrial(new, lock)
    return None


@delay_signals()  # a trial that is broken off before its configuration is written is abandoned, and another one drawn instead
def _propose(search: SearchFolder) -> Trial | None:
    """Propose a new trial, without runs where it cannot be built or was tried before; None where there are enough."""
    known = search.journal.trials()
    if count_trials(known) >= search.config.trial_count or count_fruitless(known) >= MAX_FRUITLESS:
        return None
    trial = search.journal.ask()
    if trial is None:
        return None
    try:
        proposed = search.build_proposal(trial.point)
    except ConfigError as refused:
        search.journal.fail(trial.number, ending="refused", reason=str(refused))
        return trial
    digest = proposed.config.digest()
    twin = next((other for other in known if other.notes.get("digest") == digest), None)
    if twin is not None:
        search.journal.fail(trial.number, ending="repeat", reason=f"the same as trial {twin.number}")
        return trial
    jobs = search.make_jobs(trial.number, proposed.config)
    for job in jobs:
        search.write_config(job)
    runs = [job.run for job in jobs]
    search.journal.add_notes(trial.number, digest=digest, solved=proposed.solved, runs=runs)  # runs last: with them it is complete
    return Trial(trial.number, "running", trial.point, None, notes={"runs": runs})


def _make_trial(search: SearchFolder, trial: Trial, data_dir: Path | None) -> TrialOutcome:
    """Train the runs of a trial, one after another, and record how it ended."""
    try:
        for index, run in enumerate(search.runs(trial)):
            _make_run(search, trial, index, data_dir)
            status = run.status()
            if status["failure"] is not None:
                return _record_failure(search, trial, status["failure"], status["error"])
        value = _read_value(search, trial)
    except StoppedEarly as stopped:
        with lock_run(search.runs(trial)[0].path, wait=True):
            search.runs(trial)[0].update_status(state="pruned", failure=None, error=None)
        search.journal.prune(trial.number, reason=stopped.reason)
        return "pruned"
    except RunError as unusable:
        return _record_failure(search, trial, "error", str(unusable))
    if not math.isfinite(value):
        return _record_failure(search, trial, "diverged", f"{search.config.metric} is {value}; lower the learning rate")
    search.journal.complete(trial.number, value)
    return "complete"


def _make_run(search: SearchFolder, trial: Trial, index: int, data_dir: Path | None) -> None:
    """Make the run of one seed, unless it is made. The first one is reported, and judged at its rungs. Raises StoppedEarly."""
    job = search.read_job(trial.runs[index])
    if search.ended(job):
        return
    if "stopped" in trial.notes:
        raise StoppedEarly(f"{job.run}: {trial.notes['stopped']}", str(trial.notes["stopped"]))
    with wait_for_lock(search.lock(job.run)) as lock, lock_run(search.run(job).path, wait=True) as run_lock:
        if not search.ended(job):  # somebody may have resumed it by hand meanwhile, and its result is taken
            hooks = [TrialMonitor(search, trial)] if index == 0 else ()
            make_run(search, job, JobLocks(lock, run_lock), data_dir, lambda text: None, hooks)


def _read_value(search: SearchFolder, trial: Trial) -> float:
    """Read the metric on the whole validation split, the mean over the seeds. Raises RunError."""
    scores = [read_final_score(run, search.config.checkpoint) for run in search.runs(trial)]
    return fmean(map(search.config.target_metric.value, scores))


def _record_failure(search: SearchFolder, trial: Trial, failure: Failure, error: str) -> TrialOutcome:
    """Record a failure: a diverged trial was a bad one, which the sampler should know; any other says nothing of its point."""
    if failure == "diverged":
        search.journal.prune(trial.number, ending="diverged", reason=error)
        return "diverged"
    search.journal.fail(trial.number, ending="failed", reason=error)
    return "failed"
