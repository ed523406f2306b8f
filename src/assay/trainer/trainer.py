"""From an experiment to a finished run: the hooks, the run directory, the figures at the end."""

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.memory import forget_peak, peak_bytes
from assay.core.parallel import Parallel
from assay.errors import Interrupted, RunError, StopRequested, failure_of
from assay.evaluation.score import Score
from assay.experiment.assemble import Experiment
from assay.generation.decode import stream, texts
from assay.generation.sampling import Sampling
from assay.runs.checkpoint_ref import CheckpointRef, step_name
from assay.runs.directory import METRICS, TIMINGS, RunDirectory
from assay.runs.lock import Lock, hold_run
from assay.tracking.base import Pace, Tracker
from assay.trainer.final_scores import FINAL_SCORES, score_finally, summary
from assay.training import checkpoint
from assay.training.eta import Clock, training_seconds
from assay.training.hook import Every, Figures, Hook
from assay.training.hooks import Log, Patience, Sample, Save, Stop, Validate
from assay.training.loop import train, work_left
from assay.training.state import TrainState
from assay.training.step import fraction

SAMPLE_TOKENS = 120  # the longest text in a sample taken while training


class Fit:
    """One run being trained. `hooks` are the caller's, called after the run's own."""

    def __init__(self, run: RunDirectory, experiment: Experiment, tracker: Tracker, clock: Clock, hooks: Sequence[Hook] = ()) -> None:
        self.run, self.experiment, self.tracker, self.clock = run, experiment, tracker, clock
        self.state, self.setup = experiment.state, experiment.setup
        self.parallel: Parallel = experiment.setup.parallel
        self._added = tuple(hooks)
        self._lock: Lock | None = None  # while it resumes and trains
        self._stop = Stop(self.save, self.parallel, f"assay resume {run.path}", [hook.before_stop for hook in self._added])
        self.hooks: tuple[Hook, ...] = self._hooks()

    def _hooks(self) -> tuple[Hook, ...]:
        config, state = self.experiment.config.train, self.state
        rhythm = self.experiment.rhythm
        log = Log(Every(rhythm(config.log_every), state, at_end=True), self._metrics, self.parallel, self._rates)
        listeners = [self._record_validation, *(hook.after_validation for hook in self._added)]
        validate = Validate(Every(rhythm(config.validate_every), state, at_end=True), self._validate, listeners)
        sample = Sample(Every(rhythm(config.sample_every) if config.samples else None, state, at_end=config.samples > 0), self._sample)
        save = Save(Every(rhythm(config.save_every), state, at_end=True), validate, self.save)
        patience = [] if config.patience is None else [Patience(config.patience, validate, self.tracker.note)]
        return (log, validate, *patience, sample, save, *self._added, self._stop)

    def count_steps(self, amount: str) -> int:
        """An amount of training, such as `0.5epochs` or `20000tokens`, in steps, at least one."""
        return self.experiment.rhythm(amount)

    def measure(self, figure: str) -> float:
        """A figure of the model as it is now, by its name in a score, on the sampled validation text."""
        return self._score_now().figure(figure)

    def request_stop(self, reason: str) -> None:
        """Stop after this step: save, and raise StopRequested with this reason."""
        self._stop.request(reason)

    def to_the_end(self) -> dict[str, Any]:
        """Train until the budget is used up, score, and return the figures. Whatever happens, what was computed stays."""
        self.hold()
        try:
            process = {"pid": os.getpid(), "host": platform.node()}
            self._status(state="running", step=self.state.step, steps=self.state.steps, failure=None, error=None, scores=None, **process)
            if self.parallel.main:
                self.tracker.opened(self.run.path, self.state.step)
            forget_peak(self.setup.device)
            for hook in self.hooks:
                hook.begin(self)
            for hook in self._added:
                checkpoint.refuse_unreadable(hook.name, hook.state_dict())
            with self._stop.listening():
                train(self.state, self.setup, self.hooks, self.clock)
            memory = {"peak_bytes": peak_bytes(self.setup.device)}
            figures = score_finally(self.run, self.experiment, self.clock)
        except (Interrupted, KeyboardInterrupt) as stopped:
            reason = stopped.reason if isinstance(stopped, StopRequested) else None
            self._status(state="interrupted", failure="interrupted", step=self.state.step, steps=self.state.steps, error=reason)
            raise
        except Exception as failed:
            self._status(state="failed", failure=failure_of(failed), step=self.state.step, error=str(failed))
            raise
        else:
            self._status(state="finished", step=self.state.step, steps=self.state.steps, **memory, **figures)
            self.tracker.scores(self.state.step, figures)
        finally:
            self.tracker.end()
            self._release()
        return figures

    def hold(self) -> None:
        """Be the only one who trains in this run's directory. Raises RunError where somebody else does."""
        if self.parallel.main and self._lock is None:
            status = self.run.status()
            self._lock = hold_run(self.run.path, f"process {status.get('pid', '?')} on {status.get('host', 'another machine')}")

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def save(self) -> None:
        """Write a checkpoint: all processes gather what their hooks remember, the main one writes."""
        hooks = {hook.name: hook.state_dict() for hook in self.hooks}
        for hook in self._added:
            checkpoint.refuse_unreadable(hook.name, hooks[hook.name])
        carry = self.state.carry.leaves(self.parallel)
        if self.parallel.main:
            extra = {
                "hooks": hooks,
                "carry": carry,
                "clock": self.clock.state_dict(),
                "precision": self.setup.precision,
                "world": self.parallel.world,
                "fingerprint": self.setup.plan.fingerprint,
                "config": self.experiment.config.digest(),
            }
            checkpoint.save(self.run.checkpoints, self.state, extra)
            best = None if self.state.best is None else self.state.best._asdict()
            self._status(step=self.state.step, steps=self.state.steps, best=best)
        self.parallel.barrier()

    def resume(self) -> None:
        """Bring everything to where the last checkpoint stands. Raises RunError if the data is not the same or the budget too small."""
        self.hold()
        try:
            self._resume()
        except BaseException:
            self._release()
            raise

    def _resume(self) -> None:
        path = checkpoint.locate(self.run.checkpoints, "last")
        budget = self.state.steps
        extra = checkpoint.load(path, self.state)
        if extra["fingerprint"] != self.setup.plan.fingerprint:
            raise RunError(f"{path}: was trained on other data, another split, tokenizer or order; resume needs the same")
        if extra["world"] != self.parallel.world:
            self.tracker.note(
                f"resuming with {self.parallel.world} processes what {extra['world']} began: the same batches, other rounding"
            )
        if extra["precision"] != self.setup.precision:
            self.tracker.note(f"resuming in {self.setup.precision} what began in {extra['precision']}, as this device is made for it")
        self.state.carry.restore(extra["carry"])
        self.clock.load_state_dict(extra["clock"])
        for hook in self.hooks:
            hook.load_state_dict(extra["hooks"].get(hook.name, {}))
        self._total_steps(budget)
        if self.state.steps is not None and self.state.steps < self.state.step:
            text = self.experiment.config.train.budget
            raise RunError(f"train.budget: {text} is {self.state.steps} steps, and {self.state.step} are made; give a larger total")
        if self.parallel.main:
            self.run.rewind(self.state.step)

    def _total_steps(self, budget: int | None) -> None:
        """The budget that now holds: as configured, or, for minutes, as measured before or (extended) from the pace so far."""
        status = self.run.status()
        if budget is not None:
            self.state.set_budget(budget)
        elif status.get("budget_minutes") == self.setup.budget.amount:
            self.state.set_budget(status["budget_steps"])
        elif self.state.steps is not None:
            spent = training_seconds(self.clock.spent)
            self.state.set_budget(self.setup.budget.steps_from_time(self.state.step, spent, self.clock.step))

    def _status(self, **values: Any) -> None:
        if self.parallel.main:
            if self.state.steps is not None and self.setup.budget.unit == "minutes":
                values |= {"budget_minutes": self.setup.budget.amount, "budget_steps": self.state.steps}
            self.run.set_status(**values)

    def _rates(self, state: TrainState) -> Mapping[str, float]:
        step = state.step - 1
        return state.optimizer.rates(self.setup.schedule.factor(step, fraction(step, state, self.setup)))

    def _metrics(self, line: dict[str, Any]) -> None:
        if not self.parallel.main:
            return
        line = {**line, "epoch": round(self.setup.plan.epoch(self.state.step), 6)}
        pace = self._pace()
        if self.state.steps is not None and "budget_steps" not in self.run.status():
            self._status(steps=self.state.steps)
        self.run.append(METRICS, line)
        timing = {"step": self.state.step, "tokens_per_second": pace.tokens_per_second, "run_left": pace.run_left}
        self.run.append(TIMINGS, {**timing, "spent": self.clock.spent, "elapsed": self.clock.elapsed})
        self.tracker.metrics(line, pace)

    def _pace(self) -> Pace:
        state, plan, clock = self.state, self.setup.plan, self.clock
        per_step = plan.targets_per_epoch / plan.steps_per_epoch
        speed = per_step / clock.step
        epoch_end = (state.step // plan.steps_per_epoch + 1) * plan.steps_per_epoch
        run_left = None
        if state.steps is not None:
            work = work_left(state, self.hooks, state.steps)
            sampled = self.experiment.sampled_share  # the final scores are of the whole split
            run_left = clock.predict({**work, "validate": work["validate"] + round(FINAL_SCORES / sampled)})
        until = min(epoch_end, state.steps or epoch_end)
        return Pace(state.step, state.steps, plan.epoch(state.step), speed, clock.left(work_left(state, self.hooks, until)), run_left)

    def _score_now(self) -> Score:
        scorer = self.experiment.scorer("validation", CheckpointRef("step", self.state.step), sampled=True)
        with self.state.optimizer.averaged():
            return scorer.score(self.state.learner.model)

    def _validate(self) -> dict[str, Any]:
        return summary(self._score_now())

    def _record_validation(self, step: int, figures: Figures) -> None:
        if self.parallel.main:
            line = {"step": step, "validation": dict(figures)}
            best = self.state.best is not None and self.state.best.step == step
            self.run.append(METRICS, line)
            self.tracker.validation(line, best)

    def _sample(self, step: int) -> None:
        if not self.parallel.main:
            return
        tokenizer = self.experiment.prepared.tokenizer
        count = self.experiment.config.train.samples
        seed = self.experiment.config.train.seed
        with self.state.optimizer.averaged():
            steps = stream(self.state.learner.model, [], count, SAMPLE_TOKENS, Sampling(), seed, end=tokenizer.end)
            written = [f"<start>{text}{'<end>' if ended else ''}" for text, ended in texts(steps, tokenizer.decode, tokenizer.end)]
        folder = self.run.path / "samples"
        folder.mkdir(exist_ok=True)
        (folder / f"{step_name(step)}.txt").write_text("\n".join(written) + "\n", encoding="utf-8")
        self.tracker.sample(step, written)
