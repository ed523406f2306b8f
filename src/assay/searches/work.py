"""A worker of a search: it makes trials until as many as were asked for have been made by all workers together.

Workers know nothing of each other. Under one lock of the folder each looks first for a trial whose worker is gone, which it goes on with
from the last checkpoint, and then asks for a new one while there are too few. So trials are neither lost nor doubled, and never too many.
"""

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Literal

import torch

from assay.errors import AssayError, ConfigError, Failure, RunError, StopRequested
from assay.evaluation.stored import read_stored
from assay.jobs.worker import interruptible, make_run, prepare_base
from assay.runs.lock import Lock, take
from assay.searches.folder import SearchFolder
from assay.searches.results import line
from assay.searches.rungs import Reporter, Rungs
from assay.searches.trial import FRUITLESS, Trial, counted, fruitless, goes_on, trial_name
from assay.training.hook import Hook

FAILURES = 3  # trials in a row that failed without having diverged, after which a worker gives up

Tell = Callable[[str], None]
Outcome = Literal["complete", "pruned", "diverged", "failed"]


def work(folder: Path, data_dir: Path | None = None, tell: Tell = print) -> Counter[Outcome]:
    """Make trials until there are enough; how they ended.

    A trial that fails is recorded with its reason and does not stop the rest. Raises Interrupted, after the run was saved, when a signal
    asks for it, UserError where the text or the device is not there, and AssayError where trial after trial fails.
    """
    search, made, failures = SearchFolder.read(folder), Counter[Outcome](), 0
    threads = torch.get_num_threads()
    with interruptible():
        prepare_base(search.base, data_dir)
        while (taken := next_trial(search, tell)) is not None:
            trial, lock = taken
            with lock:
                outcome = _make(search, trial, data_dir)
            tell(line(search, search.journal.trials()[trial.number]))
            torch.set_num_threads(threads)
            made[outcome] += 1
            failures = failures + 1 if outcome == "failed" else 0
            if failures == FAILURES:
                raise AssayError(f"{FAILURES} trials in a row failed, so the others were not begun; see why with: assay search {folder}")
    return made


def next_trial(search: SearchFolder, tell: Tell) -> tuple[Trial, Lock] | None:
    """A trial to be made and the lock on it: one whose worker is gone, else a new one; None where there are enough."""
    with search.take("ask"):
        for trial in search.journal.trials():
            lock = take(search.runs.lock(trial_name(trial.number))) if trial.state == "running" else None
            if lock is None:
                continue
            if trial.runs:
                tell(f"{trial_name(trial.number)}: goes on, as its worker is gone")
                return trial, lock
            with lock:
                search.journal.fail(trial.number, ending="abandoned", reason="its worker was gone before its configuration was written")
        while (new := _proposal(search)) is not None:
            if not new.runs:
                tell(line(search, search.journal.trials()[new.number]))
            else:
                lock = take(search.runs.lock(trial_name(new.number)))
                assert lock is not None
                return new, lock
    return None


def _proposal(search: SearchFolder) -> Trial | None:
    """A new trial, without runs where it cannot be built or was tried before; None where there are enough."""
    known = search.journal.trials()
    if counted(known) >= search.config.count or fruitless(known) >= FRUITLESS:
        return None
    trial = search.journal.ask()
    if trial is None:
        return None
    try:
        proposed = search.proposed(trial.point)
    except ConfigError as refused:
        search.journal.fail(trial.number, ending="refused", reason=str(refused))
        return trial
    digest = proposed.config.digest()
    twin = next((other for other in known if other.notes.get("digest") == digest), None)
    if twin is not None:
        search.journal.fail(trial.number, ending="repeat", reason=f"the same as trial {twin.number}")
        return trial
    jobs = search.jobs(trial.number, proposed.config)
    for job in jobs:
        search.write_job(job)
    runs = [job.run for job in jobs]
    search.journal.note(trial.number, digest=digest, solved=proposed.solved, runs=runs)  # the runs last: with them the trial is complete
    return Trial(trial.number, "running", trial.point, None, notes={"runs": runs})


def _make(search: SearchFolder, trial: Trial, data_dir: Path | None) -> Outcome:
    """Train the runs of a trial, one after another, and put down what came of it."""
    try:
        for index, name in enumerate(trial.runs):
            _make_run(search, trial, index, data_dir)
            status = search.runs.run(search.job(name)).status()
            if status["failure"] is not None:
                return _unsuccessful(search, trial, status["failure"], status["error"])
        value = _value(search, trial)
    except StopRequested as stopped:
        search.runs.run(search.job(trial.runs[0])).set_status(state="pruned", failure=None, error=None)
        search.journal.prune(trial.number, reason=stopped.reason)
        return "pruned"
    except RunError as unusable:
        return _unsuccessful(search, trial, "error", str(unusable))
    if not math.isfinite(value):
        return _unsuccessful(search, trial, "diverged", f"{search.config.metric} is {value}; lower the learning rate")
    search.journal.complete(trial.number, value)
    return "complete"


def _make_run(search: SearchFolder, trial: Trial, index: int, data_dir: Path | None) -> None:
    """The run of one seed, if it is not made yet. The first one is reported, and judged at its rungs. Raises StopRequested."""
    job = search.job(trial.runs[index])
    if search.runs.ended(job):
        return
    if "stopped" in trial.notes:
        raise StopRequested(f"{job.run}: {trial.notes['stopped']}", str(trial.notes["stopped"]))
    with search.take(job.run) as lock:
        make_run(search.runs, job, lock, data_dir, lambda text: None, _hooks(search, trial) if index == 0 else ())


def _hooks(search: SearchFolder, trial: Trial) -> list[Hook]:
    """What reports a trial, and judges it at its rungs."""
    metric, asha = search.config.compared, search.config.pruner
    rungs = [] if asha is None else [Rungs(metric, asha, Judge(search, trial))]
    return [Reporter(metric, partial(search.journal.report, trial.number)), *rungs]


class Judge:
    """Whether a trial goes on at a rung, by what the others had there. A judgement stands, also when the trial changes its worker."""

    def __init__(self, search: SearchFolder, trial: Trial) -> None:
        self.search, self.trial = search, trial
        self.passed: list[int] = list(trial.notes.get("passed", ()))

    def __call__(self, tokens: int, value: float) -> str | None:
        """Keep the figure and judge it: why the trial stops, None where it goes on."""
        if tokens in self.passed:
            return None
        journal, config, number = self.search.journal, self.search.config, self.trial.number
        assert config.pruner is not None
        journal.report(number, tokens, value)
        others = [trial.values[tokens] for trial in journal.trials() if trial.number != number and tokens in trial.values]
        loss = config.compared.loss
        if goes_on(loss(value), map(loss, others), config.pruner.reduction):
            self.passed.append(tokens)
            journal.note(number, passed=self.passed)
            return None
        reason = f"pruned at {tokens:,} tokens with {value:.4f} {config.compared.label}"
        journal.note(number, stopped=reason)
        return reason


def _value(search: SearchFolder, trial: Trial) -> float:
    """The metric on the whole validation split, the mean over the seeds. Raises RunError."""
    metric, name = search.config.compared, f"end-{search.config.checkpoint}.json"
    runs = [search.runs.run(search.job(run)) for run in trial.runs]
    return fmean(metric.of(read_stored(run.path / "scores" / name, run)) for run in runs)


def _unsuccessful(search: SearchFolder, trial: Trial, failure: Failure, error: str) -> Outcome:
    """A trial whose loss left all bounds was a bad one, which the sampler should know; any other failure says nothing of its point."""
    if failure == "diverged":
        search.journal.prune(trial.number, ending="diverged", reason=error)
        return "diverged"
    search.journal.fail(trial.number, ending="failed", reason=error)
    return "failed"
