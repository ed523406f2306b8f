"""The hooks of every run: log, validate, stop early, sample, save a checkpoint, stop when asked."""

import math
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

import torch

from assay.core.devices import to_float64
from assay.core.parallel import Parallel
from assay.core.signals import STOP_SIGNALS, TIME_LIMIT, handle_signals
from assay.core.types import Mean, Term, add_means
from assay.errors import AssayError, Interrupted, NonFiniteLoss, StoppedEarly, explain_failure
from assay.training.hook import Hook, Metrics, StepInterval
from assay.training.loop import add_terms, refuse_non_finite
from assay.training.state import StepResult, TrainState

ValidationListener = Callable[[int, Metrics], None]  # the step and its metrics
StopListener = Callable[[int, str], None]  # the step and the reason
LastLine = Callable[[TrainState, StepResult], None]  # after this step
Rates = Callable[[TrainState], Mapping[str, float]]  # the learning rates of the step that was just made


class LogHook(Hook):
    """Logs the token-weighted means since the last line, the learning rates and the gradient norms by layer, every n steps."""

    name = "log"

    def __init__(self, interval: StepInterval, write: Callable[[dict[str, Any]], None], parallel: Parallel, rates: Rates) -> None:
        self.interval, self.write, self.parallel, self.rates = interval, write, parallel, rates
        self.terms: dict[str, Term] = {}
        self.stats: dict[str, Mean] = {}

    def after_step(self, state: TrainState, result: StepResult) -> None:
        self.terms = add_terms(self.terms, result.terms) if self.terms else dict(result.terms)
        self.stats = add_means(self.stats, result.stats)
        if self.is_due(state.step):
            self.write_line(state, result)

    def write_line(self, state: TrainState, result: StepResult) -> None:
        """Write what was added up since the last line, if there is any."""
        if not self.terms:
            return
        refuse_non_finite(state, result.norms)
        means = {name: term.mean for name, term in self.terms.items()} | self.stats
        values = {name: value for name, mean in means.items() if (value := self._global(mean)) is not None}
        if broken := [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]:
            raise NonFiniteLoss(f"step {state.step}: {', '.join(broken)}; lower the learning rate or lengthen the warm-up")
        self.terms, self.stats = {}, {}
        norms = gradient_norms_by_layer(state, result)
        self.write(
            {"step": state.step, "targets": int(state.targets), **values, "lr": dict(self.rates(state)),
             "gradient_norm": float(result.total_norm), "gradient_norms": norms}
        )  # fmt: skip

    def _global(self, mean: Mean) -> float | None:
        """Compute the mean over all processes; None where nothing was counted."""
        total, count = self.parallel.all_reduce(torch.stack([to_float64(mean.total), to_float64(mean.count)])).tolist()
        return None if count == 0 else total / count

    def state_dict(self) -> dict[str, Any]:
        """Add up the sums so far of all processes, each of which has to call this."""

        def add_up(mean: Mean) -> tuple[torch.Tensor, ...]:
            return tuple(self.parallel.all_reduce(value.clone()) for value in mean)

        terms = {name: (term.scale, *add_up(term.mean)) for name, term in self.terms.items()}
        return {"terms": terms, "stats": {name: add_up(mean) for name, mean in self.stats.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the saved sums, of all processes, in the main one."""
        if self.parallel.is_main:
            self.terms = {name: Term(scale, Mean(total, count)) for name, (scale, total, count) in state["terms"].items()}
            self.stats = {name: Mean(*pair) for name, pair in state["stats"].items()}


def gradient_norms_by_layer(state: TrainState, result: StepResult) -> dict[str, float]:
    """Compute the gradient norm of each layer: blocks one by one, everything else by its first name."""
    squares: dict[str, float] = {}
    for (name, _), norm in zip(state.learner.named_parameters(), result.norms.tolist(), strict=True):
        parts = name.removeprefix("model.").split(".")
        layer = ".".join(parts[:2]) if parts[0] == "blocks" else parts[0]
        squares[layer] = squares.get(layer, 0.0) + norm**2
    return {layer: square**0.5 for layer, square in squares.items()}


class ValidationHook(Hook):
    """Scores the validation split, by the same function as `assay score`, and notes the lowest score as the best."""

    name = "validate"

    def __init__(self, interval: StepInterval, score: Callable[[], Metrics], listeners: Sequence[ValidationListener] = ()) -> None:
        self.interval, self.score, self.listeners = interval, score, listeners

    def after_step(self, state: TrainState, result: StepResult) -> None:
        if not self.is_due(state.step):
            return
        metrics = self.score()
        if state.best is None or metrics["bits_per_byte"] < state.best.bits_per_byte:
            state.set_best(metrics["bits_per_byte"])
        for listener in self.listeners:
            listener(state.step, metrics)


class ScoreHook(Hook):
    """Scores a text every n steps beside the validations, and hands the figures on; they decide nothing, neither the best nor the end.

    `cost` is how many validations it takes the time of, as long as it was not measured.
    """

    def __init__(self, name: str, interval: StepInterval, score: Callable[[], Metrics], record: ValidationListener, cost: float) -> None:
        self.name, self.interval, self.score, self.record, self.cost = name, interval, score, record, cost

    def after_step(self, state: TrainState, result: StepResult) -> None:
        if self.is_due(state.step):
            self.record(state.step, self.score())


class EarlyStopping(Hook):
    """Ends a run after `patience` validations in a row without a better score. The best checkpoint is kept in any case.

    A run that it ended is ended when it is resumed, too, unless patience or budget are larger by then. `write_line` writes the last line
    of metrics, at a step that is no end of an interval.
    """

    name = "patience"

    def __init__(self, patience: int, validations: StepInterval, notify: Callable[[str], None], write_line: LastLine | None = None) -> None:
        self.patience, self.validations, self.notify, self.write_line = patience, validations, notify, write_line
        self.waited = 0
        self.ended_budget: int | None = None  # the steps of the whole budget of a run that it ended

    def after_step(self, state: TrainState, result: StepResult) -> None:
        if not self.validations.is_due(state.step):
            return
        self.waited = 0 if state.improved else self.waited + 1
        if self.waited >= self.patience and not state.finished:
            self._end(state)
            self.notify(f"no better validation in {self.waited}: the run ends at step {state.step}, early (train.patience)")
            if self.write_line is not None:
                self.write_line(state, result)

    def _end(self, state: TrainState) -> None:
        self.ended_budget = state.steps
        state.set_budget(state.step)

    def resume(self, state: TrainState) -> None:
        """End a run again that it ended, unless it has become more patient or the budget, which is set by now, is another one."""
        ended, self.ended_budget = self.ended_budget, None
        if ended is None or self.waited < self.patience:
            return
        if state.steps != ended:
            self.waited = 0  # whoever gives more time wants to see some of it used
            return
        self._end(state)
        self.notify(
            f"train.patience ended this run at step {state.step} of {ended}, so that only its final scores are left to compute; a larger "
            "train.patience or train.budget trains it on"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return how many validations were no better, and the budget of a run that it ended."""
        return {"waited": self.waited, "ended_budget": self.ended_budget}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the saved count."""
        self.waited, self.ended_budget = state["waited"], state.get("ended_budget")


class SampleHook(Hook):
    """Writes texts of the model, every n steps."""

    name = "sample"

    def __init__(self, interval: StepInterval, write: Callable[[int], None]) -> None:
        self.interval, self.write = interval, write

    def after_step(self, state: TrainState, result: StepResult) -> None:
        if self.is_due(state.step):
            self.write(state.step)


class CheckpointHook(Hook):
    """Saves a checkpoint every n steps, when one is to be kept, when a validation was the best so far, and at the end."""

    name = "save"

    def __init__(
        self, interval: StepInterval, validations: StepInterval, save: Callable[[], None], kept: StepInterval | None = None
    ) -> None:
        self.intervals = [interval, *filter(None, [kept])]
        self.validations, self.save = validations, save

    def is_due(self, step: int) -> bool:
        return any(interval.is_due(step) for interval in [*self.intervals, self.validations])

    def count_due(self, begin: int, end: int) -> int:
        return sum(interval.count_due(begin, end) for interval in [*self.intervals, self.validations])

    def after_step(self, state: TrainState, result: StepResult) -> None:
        if any(interval.is_due(state.step) for interval in self.intervals) or state.improved:
            self.save()


class StopHook(Hook):
    """Saves and stops after the step: on Ctrl-C, SIGTERM, SIGHUP or SIGUSR1, when a hook asks or fails. A second Ctrl-C stops at once.

    SIGUSR1 comes from a cluster, so it also stops a run that has made its last step: scoring may take longer than there is time.
    """

    name = "stop"
    signals = (*filter(None, [TIME_LIMIT]), *STOP_SIGNALS)  # of several the first is reported

    def __init__(
        self, save: Callable[[], None], parallel: Parallel, resume_command: str, listeners: Sequence[StopListener] = (),
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.save, self.parallel, self.resume_command, self.listeners, self.notify = save, parallel, resume_command, listeners, notify
        self.received: set[int] = set()
        self.reason: str | None = None  # of the first hook that asked
        self.failed: Exception | None = None  # of the first hook that failed

    def request(self, reason: str) -> None:
        """Stop the run after this step for this reason; the first of several counts."""
        if self.reason is None:
            self.reason = str(reason).strip() or "a hook asked for it"

    def fail(self, error: Exception) -> None:
        """Save and raise this error of a hook after this step; the first of several counts."""
        if self.failed is None:
            self.failed = error

    def handle_signals(self) -> AbstractContextManager[None]:
        """Temporarily install the signal handlers."""
        return handle_signals(self.signals, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received.add(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """Save and raise the error of a hook that failed, Interrupted where a signal arrived, StoppedEarly where a hook asked."""
        received, reason, failed = self._agree(result.norms.device)
        if failed is not None:
            self._save_in_spite_of(failed, state.step)
            raise failed
        if received and (not state.finished or received[0] == TIME_LIMIT):
            self._end(state.step, signal.Signals(received[0]).name)
            raise Interrupted(f"stopped after step {state.step} and saved; go on with: {self.resume_command}", received[0])
        if reason is not None and not state.finished:
            self._end(state.step, reason)
            raise StoppedEarly(f"stopped after step {state.step} and saved ({reason}); go on with: {self.resume_command}", reason)

    def _end(self, step: int, reason: str) -> None:
        try:
            for listener in self.listeners:
                listener(step, reason)
        finally:
            self.save()  # even if a listener fails, nothing that was computed is lost

    def _save_in_spite_of(self, failed: Exception, step: int) -> None:
        """Save the step after which a hook failed; where that fails too, the hook's error is still the one that ends the run."""
        try:
            self.save()
        except Exception as unsaved:
            self.notify(f"a hook failed after step {step} ({explain_failure(failed)}), which is not saved ({explain_failure(unsaved)})")
        else:
            self.notify(f"a hook failed after step {step} ({explain_failure(failed)}); the step is saved: {self.resume_command}")

    def _agree(self, device: torch.device) -> tuple[list[int], str | None, Exception | None]:
        """Agree with all processes on signals, reason and failure, so that all stop after the same step for the same reason."""
        if self.parallel.world_size == 1:
            return [number for number in self.signals if number in self.received], self.reason, self.failed
        flags = [float(number in self.received) for number in self.signals]
        flags += [float(self.reason is not None), float(self.failed is not None)]
        *signals, requested, failures = self.parallel.all_reduce(torch.tensor(flags, device=device)).tolist()
        received = [number for number, count in zip(self.signals, signals, strict=True) if count > 0]
        reason = (self.reason or "a hook of another process asked for it") if requested else None
        return received, reason, (self.failed or AssayError("a hook of another process failed; see its error")) if failures else None
