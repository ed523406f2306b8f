"""Train an experiment to the end: with its hooks, its run directory and the scores at the end."""

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from assay.core.devices import peak_memory, reset_peak_memory
from assay.core.files import write_durably
from assay.core.parallel import Parallel
from assay.errors import Interrupted, NonFiniteLoss, RunError, StoppedEarly, classify_failure, explain_failure
from assay.experiment.assemble import Experiment
from assay.generation.texts import write_marked_samples
from assay.runs.checkpoint_ref import format_step, list_steps
from assay.runs.directory import METRICS, TIMINGS, RunDirectory
from assay.runs.lock import Lock, lock_run
from assay.terminal.console import escape_control_characters
from assay.tracking.base import FurtherScore, Tracker
from assay.trainer.further_scores import make_score_hooks, score_validation
from assay.trainer.pace import estimate_pace
from assay.trainer.scoring import compute_final_scores, summarize_score
from assay.trainer.soundness import find_fault, refuse_unsound_state
from assay.training import checkpoint
from assay.training.budget import CALIBRATION_STEPS
from assay.training.clock import Clock, training_seconds
from assay.training.guarded_hook import GuardedHook
from assay.training.hook import Hook, Metrics, StepInterval
from assay.training.hooks import (
    CheckpointHook,
    EarlyStopping,
    LogHook,
    SampleHook,
    StopHook,
    ValidationHook,
)
from assay.training.loop import progress_fraction, train
from assay.training.state import TrainState

SAMPLE_TOKENS = 120  # the longest text in a sample taken while training


class Trainer:
    """Trains one run. `hooks` are the caller's, called after the run's own; `lock` is the run's, where the caller has taken it."""

    def __init__(
        self, run: RunDirectory, experiment: Experiment, tracker: Tracker, hooks: Sequence[Hook] = (), lock: Lock | None = None
    ) -> None:
        self.directory, self.experiment, self.tracker, self.clock = run, experiment, tracker, Clock()
        self.state, self.setup = experiment.state, experiment.setup
        self.parallel: Parallel = experiment.setup.parallel
        self._added = tuple(GuardedHook(hook, self._fail) for hook in hooks)
        self._lock = lock  # while it resumes and trains
        listeners = [hook.before_stop for hook in self._added]
        self._stop = StopHook(self.save, self.parallel, f"assay resume {run.path}", listeners, tracker.log_message)
        self._patience: EarlyStopping | None = None
        self._kept: StepInterval | None = None  # when a checkpoint is kept for ever
        self.hooks: tuple[Hook, ...] = self._make_hooks()

    def _make_hooks(self) -> tuple[Hook, ...]:
        config = self.setup.config

        def every(amount: str, *, at_end: bool = True) -> StepInterval:
            return StepInterval(self.count_steps(amount), self.state, at_end=at_end)

        validations = every(config.validate_every)
        if config.keep_every is not None:
            self._kept = every(config.keep_every, at_end=False)
        samples = [SampleHook(every(config.sample_every), self._sample)] if config.samples else []
        listeners = [self._record_validation, *(hook.after_validation for hook in self._added)]
        log = LogHook(every(config.log_every), self._record_metrics, self.parallel, self._learning_rates)
        if config.patience is not None:
            self._patience = EarlyStopping(config.patience, validations, self.tracker.log_message, log.write_line)
        return (
            log,
            ValidationHook(validations, lambda: summarize_score(score_validation(self.experiment)), listeners),
            *make_score_hooks(self.experiment, every, self._record_further_score),
            *filter(None, [self._patience]),
            *samples,
            CheckpointHook(every(config.save_every), validations, self.save, self._kept),
            *self._added,
            self._stop,
        )

    def count_steps(self, amount: str) -> int:
        """Convert an amount of training, such as `0.5epochs` or `20000tokens`, to steps, at least one."""
        return self.experiment.interval_in_steps(amount)

    def evaluate(self, metric: str) -> float:
        """Score the model as it is now on the sampled validation text; `metric` is a name in a score."""
        return score_validation(self.experiment).metric(metric)

    def request_stop(self, reason: str) -> None:
        """Stop after this step: save, and raise StoppedEarly with this reason."""
        self._stop.request(reason)

    def _fail(self, error: Exception) -> None:
        self._stop.fail(error)

    def run(self) -> dict[str, Any]:
        """Train until the budget is used up, score, and return the final scores. What was saved before a failure stays."""
        self.lock()
        try:
            process = {"pid": os.getpid(), "host": platform.node()}
            self._update_status(state="running", step=self.state.step, failure=None, error=None, scores=None, **process)
            if self.parallel.is_main:
                self.tracker.open_directory(self.directory.path, self.state.step)
            reset_peak_memory(self.setup.device)
            for hook in self.hooks:
                hook.begin(self)
            for hook in self._added:
                checkpoint.refuse_unsavable(hook.name, hook.state_dict())
            with self._stop.handle_signals():
                train(self.state, self.setup, self.hooks, self.clock)
            memory = {"peak_bytes": peak_memory(self.setup.device)}
            scores = compute_final_scores(self.directory, self.experiment, self.clock)
        except (Interrupted, KeyboardInterrupt) as stopped:
            reason = stopped.reason if isinstance(stopped, StoppedEarly) else None
            self._note_end(state="interrupted", failure="interrupted", error=reason)
            raise
        except NonFiniteLoss as diverged:
            failed = NonFiniteLoss(f"{diverged}; {self._describe_last_checkpoint()}")
            self._update_failed(failed)
            raise failed from None
        except Exception as failed:
            self._update_failed(failed)
            raise
        else:
            self._update_status(state="finished", step=self.state.step, **memory, **scores)
            self.tracker.log_final_scores(self.state.step, scores)
        finally:
            self.tracker.close()
            self._release()
        return scores

    def lock(self) -> None:
        """Lock the run's directory for this process. Raises RunError where another one trains in it."""
        if self.parallel.is_main and self._lock is None:
            self._lock = lock_run(self.directory.path)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _update_failed(self, failed: Exception) -> None:
        self._note_end(state="failed", failure=classify_failure(failed), error=explain_failure(failed))

    def _note_end(self, **values: Any) -> None:
        """Note in the status why the run ended early; on a disk that cannot be written, only the first error explains."""
        self.tracker.log_early_end(self.state.step, values["error"] or values["failure"])
        with suppress(OSError):
            self._update_status(step=self.state.step, **values)

    def _describe_last_checkpoint(self) -> str:
        """Say which checkpoint is left of a run that diverged; each was found to be sound before it was saved."""
        steps = list_steps(self.directory.checkpoints)
        if not steps:
            return "no checkpoint was saved before"
        return f"the last good checkpoint is {checkpoint.find_folder(self.directory.checkpoints, 'last')}"

    def save(self) -> None:
        """Save a checkpoint: all processes gather the states of their hooks, the main one writes.

        Raises NonFiniteLoss for a state that could be neither scored nor resumed.
        """
        hooks = {hook.name: hook.state_dict() for hook in self.hooks}
        for hook in self._added:
            checkpoint.refuse_unsavable(hook.name, hooks[hook.name])
        carried_state = self.state.carried_state.gather_leaves(self.parallel)
        refuse_unsound_state(self.experiment, hooks[LogHook.name])
        if self.parallel.is_main:
            extra = {
                "hooks": hooks,
                "carry": carried_state,
                "clock": self.clock.state_dict(),
                "precision": self.setup.precision,
                "world": self.parallel.world_size,
                "fingerprint": self.setup.batches.fingerprint,
                "config": self.experiment.config.digest(),
            }
            self.directory.flush_lines()
            checkpoint.save(self.directory.checkpoints, self.state, extra, kept=self._keeps_step())
            self._update_status(step=self.state.step, **self._best())
        self.parallel.barrier()

    def _keeps_step(self) -> bool:
        """Whether the checkpoint of this step is kept for ever."""
        return self._kept is not None and self._kept.is_due(self.state.step)

    def _best(self) -> dict[str, Any]:
        return {"best": None if self.state.best is None else self.state.best._asdict()}

    def load_checkpoint(self) -> None:
        """Restore everything from the last checkpoint. Raises RunError if the data is not the same or the budget too small."""
        self.lock()
        try:
            self._load_checkpoint()
        except BaseException:
            self._release()
            raise

    def _load_checkpoint(self) -> None:
        path = checkpoint.find_folder(self.directory.checkpoints, "last")
        budget = self.state.steps
        extra = checkpoint.load(path, self.state)
        if extra["fingerprint"] != self.setup.batches.fingerprint:
            raise RunError(f"{path}: was trained on other data, another split, tokenizer or order; resume needs the same")
        world, precision = self.parallel.world_size, self.setup.precision
        if extra["world"] != world:
            self.tracker.log_message(f"resuming with {world} processes instead of {extra['world']}: the same batches, other rounding")
        if extra["precision"] != precision:
            self.tracker.log_message(
                f"resuming in {precision} instead of {extra['precision']}, as train.precision=auto means on this device"
            )
        self.state.carried_state.load_leaves(extra["carry"])
        self.clock.load_state_dict(extra["clock"])
        self._load_hooks(extra["hooks"])
        if fault := find_fault(self.experiment, extra["hooks"].get(LogHook.name)):
            raise RunError(f"{path}: {fault}, so training cannot go on from it; train the run anew with a lower learning rate")
        self._set_budget(budget)
        if self.state.steps is not None and self.state.steps < self.state.step:
            text = self.experiment.config.train.budget
            raise RunError(f"train.budget: {text} is {self.state.steps} steps, and {self.state.step} are made; give a larger total")
        if self._patience is not None:
            self._patience.resume(self.state)
        if self.parallel.is_main:
            self.directory.rewind(self.state.step)
            checkpoint.settle(self.directory.checkpoints, self.state, kept=self._keeps_step())
            self._update_status(step=self.state.step, **self._best())

    def _load_hooks(self, saved: Mapping[str, Any]) -> None:
        """Restore the hooks that were there when the checkpoint was saved; what is new begins anew."""
        for hook in self.hooks:
            if hook.name in saved:
                hook.load_state_dict(saved[hook.name])
        names = {hook.name for hook in self.hooks} | {EarlyStopping.name}
        if missing := sorted(name for name, state in saved.items() if state and name not in names):
            self.tracker.log_message(f"resuming without the hooks {', '.join(missing)}, and without what they remembered")

    def _set_budget(self, budget: int | None) -> None:
        """Set the steps of the whole run: as configured, or, for minutes, as measured before or (extended) from the pace so far."""
        status = self.directory.status()
        if budget is not None:
            self.state.set_budget(budget)
        elif status.get("budget_minutes") == self.setup.budget.amount:
            self.state.set_budget(status["budget_steps"])
        elif self.state.steps is not None:
            spent = training_seconds(self.clock.spent)
            self.state.set_budget(self.setup.budget.steps_from_time(self.state.step, spent, self.clock.seconds_per_step))

    def _update_status(self, **values: Any) -> None:
        """Update the status by these values and the number of steps in all."""
        if self.parallel.is_main:
            if self.state.steps is not None and self.setup.budget.unit == "minutes":
                whole = self._patience and self._patience.ended_budget
                values |= {"budget_minutes": self.setup.budget.amount, "budget_steps": whole or self.state.steps}
            self.directory.update_status(steps=self.state.steps, **values)

    def _learning_rates(self, state: TrainState) -> Mapping[str, float]:
        step = state.step - 1
        return state.optimizer.learning_rates(self.setup.schedule.factor(step, progress_fraction(step, state, self.setup)))

    def _record_metrics(self, line: dict[str, Any]) -> None:
        if not self.parallel.is_main:
            return
        line = {**line, "epoch": round(self.setup.batches.epoch_at(self.state.step), 6)}
        pace = estimate_pace(self.experiment, self.hooks, self.clock)
        if self.state.steps is not None and "budget_steps" not in self.directory.status():
            self._update_status()
            if self.setup.budget.unit == "minutes":  # in other units, the run began with it
                for misfit in self.experiment.config.schedule.list_misfits(self.state.steps, CALIBRATION_STEPS):
                    self.tracker.log_message(misfit)
        self.directory.append_line(METRICS, line)
        timing = {"step": self.state.step, "tokens_per_second": pace.tokens_per_second, "run_left": pace.run_left}
        self.directory.append_line(TIMINGS, {**timing, "spent": self.clock.spent, "elapsed": self.clock.elapsed})
        self.tracker.log_metrics(line, pace)

    def _record_validation(self, step: int, metrics: Metrics) -> None:
        if self.parallel.is_main:
            line = {"step": step, "validation": dict(metrics)}
            self.directory.append_line(METRICS, line)
            self.tracker.log_validation(line, self.state.improved)

    def _record_further_score(self, name: FurtherScore, step: int, metrics: Metrics) -> None:
        if self.parallel.is_main:
            line = {"step": step, name: dict(metrics)}
            self.directory.append_line(METRICS, line)
            self.tracker.log_further_score(line, name)

    def _sample(self, step: int) -> None:
        if not self.parallel.is_main:
            return
        tokenizer, config = self.experiment.prepared.tokenizer, self.setup.config
        with self.state.optimizer.use_averaged_weights():
            texts = write_marked_samples(self.state.learner.model, tokenizer, config.samples, SAMPLE_TOKENS, config.seed)
        folder = self.directory.path / "samples"
        folder.mkdir(exist_ok=True)
        write_durably(folder / f"{format_step(step)}.txt", escape_control_characters("\n".join(texts)) + "\n")
        self.tracker.log_samples(step, texts)
