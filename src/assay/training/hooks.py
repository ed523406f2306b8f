"""The hooks of every run: log, validate, lose patience, sample, save, stop."""

import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from assay.core.parallel import Parallel
from assay.core.signals import heeding
from assay.core.types import Mean, Term, add_means
from assay.errors import Interrupted, NonFiniteLoss, StopRequested
from assay.training.hook import Every, Figures, Hook, Regular
from assay.training.state import StepResult, TrainState
from assay.training.step import add_terms, refuse_non_finite

OUT_OF_TIME = getattr(signal, "SIGUSR1", None)  # how a cluster's job learns that its time ends; there is none on Windows
Listener = Callable[[int, Figures], None]  # of validations: the step and its figures
StopListener = Callable[[int, str], None]  # of stops: the step and the reason
Rates = Callable[[TrainState], Mapping[str, float]]  # the learning rates of the step that was just made


class Log(Regular):
    """Every n steps: the token-weighted means since the last line, the learning rates, the gradient norms by layer."""

    name = "log"

    def __init__(self, every: Every, write: Callable[[dict[str, Any]], None], parallel: Parallel, rates: Rates) -> None:
        super().__init__(every)
        self.write, self.parallel, self.rates = write, parallel, rates
        self.terms: dict[str, Term] = {}
        self.stats: dict[str, Mean] = {}

    def after_step(self, state: TrainState, result: StepResult) -> None:
        self.terms = add_terms(self.terms, result.terms) if self.terms else dict(result.terms)
        self.stats = add_means(self.stats, result.stats)
        if not self.due(state.step):
            return
        refuse_non_finite(state, result.norms)
        means = {name: term.mean for name, term in self.terms.items()} | self.stats
        values = {name: value for name, mean in means.items() if (value := self._global(mean)) is not None}
        if not all(math.isfinite(value) for value in values.values()):
            raise NonFiniteLoss(f"step {state.step}: the loss is {values}; lower the learning rate or lengthen the warm-up")
        self.terms, self.stats = {}, {}
        norms = layer_norms(state, result)
        self.write(
            {"step": state.step, "targets": int(state.targets), **values, "lr": dict(self.rates(state)),
             "gradient_norm": float(result.total_norm), "gradient_norms": norms}
        )  # fmt: skip

    def _global(self, mean: Mean) -> float | None:
        """The mean over all processes; None where nothing was counted."""
        total, count = self.parallel.sum(torch.stack([mean.total.double(), mean.count.double()])).tolist()
        return None if count == 0 else total / count

    def state_dict(self) -> dict[str, Any]:
        """The sums so far over all processes, which all have to ask."""
        terms = {name: (t.scale, *map(self._summed, t.mean)) for name, t in self.terms.items()}
        return {"terms": terms, "stats": {name: tuple(map(self._summed, mean)) for name, mean in self.stats.items()}}

    def _summed(self, value: torch.Tensor) -> torch.Tensor:
        return self.parallel.sum(value.clone())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; one process carries what all had summed."""
        if not self.parallel.main:
            return
        self.terms = {name: Term(scale, Mean(total, count)) for name, (scale, total, count) in state["terms"].items()}
        self.stats = {name: Mean(*pair) for name, pair in state["stats"].items()}


def layer_norms(state: TrainState, result: StepResult) -> dict[str, float]:
    """The gradient norm of each layer: blocks one by one, everything else by its first name."""
    squares: dict[str, float] = {}
    for (name, _), norm in zip(state.learner.named_parameters(), result.norms.tolist(), strict=True):
        parts = name.removeprefix("model.").split(".")
        layer = ".".join(parts[:2]) if parts[0] == "blocks" else parts[0]
        squares[layer] = squares.get(layer, 0.0) + norm**2
    return {layer: square**0.5 for layer, square in squares.items()}


class Validate(Regular):
    """Now and then: the score on the validation split, by the same function as `assay score`; the lowest figure is the best."""

    name = "validate"

    def __init__(self, every: Every, score: Callable[[], Figures], listeners: Sequence[Listener] = ()) -> None:
        super().__init__(every)
        self.score, self.listeners = score, listeners
        self.improved = False

    def after_step(self, state: TrainState, result: StepResult) -> None:
        self.improved = False
        if not self.due(state.step):
            return
        figures = self.score()
        self.improved = state.best is None or figures["bits_per_byte"] < state.best.bits_per_byte
        if self.improved:
            state.improve(figures["bits_per_byte"])
        for listen in self.listeners:
            listen(state.step, figures)


class Patience(Hook):
    """Ends a run after some validations in a row without a better figure. The best checkpoint is kept in any case."""

    name = "patience"

    def __init__(self, patience: int, validate: Validate, tell: Callable[[str], None]) -> None:
        self.patience, self.validate, self.tell = patience, validate, tell
        self.waited = 0

    def after_step(self, state: TrainState, result: StepResult) -> None:
        if not self.validate.due(state.step):
            return
        self.waited = 0 if self.validate.improved else self.waited + 1
        if self.waited >= self.patience and not state.finished:
            state.set_budget(state.step)
            self.tell(f"no better validation in {self.waited}: the run ends at step {state.step}, early (train.patience)")

    def state_dict(self) -> dict[str, Any]:
        """How many validations were no better."""
        return {"waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.waited = state["waited"]


class Sample(Regular):
    """Now and then: what the model writes."""

    name = "sample"

    def __init__(self, every: Every, write: Callable[[int], None]) -> None:
        super().__init__(every)
        self.write = write

    def after_step(self, state: TrainState, result: StepResult) -> None:
        if self.due(state.step):
            self.write(state.step)


class Save(Regular):
    """Every n steps, when a validation was the best so far, and at the end: a checkpoint."""

    name = "save"

    def __init__(self, every: Every, validate: Validate, save: Callable[[], None]) -> None:
        super().__init__(every)
        self.validate, self.save = validate, save

    def due(self, step: int) -> bool:
        return self.every.due(step) or self.validate.due(step)

    def times(self, begin: int, end: int) -> int:
        return self.every.times(begin, end) + self.validate.times(begin, end)

    def after_step(self, state: TrainState, result: StepResult) -> None:
        if self.every.due(state.step) or self.validate.improved:
            self.save()


class Stop(Hook):
    """Stop after the step and save: on Ctrl-C, SIGTERM or SIGUSR1, or when a hook requests it. A second Ctrl-C stops at once.

    `OUT_OF_TIME` is a cluster's word, so it also stops a run that has made its last step: scoring may take longer than there is time.
    """

    name = "stop"
    signals = (*([] if OUT_OF_TIME is None else [OUT_OF_TIME]), signal.SIGINT, signal.SIGTERM)  # of several the first is reported

    def __init__(self, save: Callable[[], None], parallel: Parallel, how_to_resume: str, listeners: Sequence[StopListener] = ()) -> None:
        self.save, self.parallel, self.how_to_resume, self.listeners = save, parallel, how_to_resume, listeners
        self.received: set[int] = set()
        self.reason: str | None = None  # of the first hook that asked

    def request(self, reason: str) -> None:
        """Stop the run after this step for this reason; the first of several counts."""
        if self.reason is None:
            self.reason = str(reason).strip() or "a hook asked for it"

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle signals inside, and leave them to whoever had them before afterwards."""
        with heeding(self.signals, self._receive):
            yield

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received.add(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """Save and raise Interrupted where a signal arrived, StopRequested where a hook asked."""
        received, reason = self._agree(result.norms.device)
        if received and (not state.finished or received[0] == OUT_OF_TIME):
            self._end(state.step, signal.Signals(received[0]).name)
            raise Interrupted(f"stopped after step {state.step} and saved; go on with: {self.how_to_resume}", received[0])
        if reason is not None and not state.finished:
            self._end(state.step, reason)
            raise StopRequested(f"stopped after step {state.step} and saved ({reason}); go on with: {self.how_to_resume}", reason)

    def _end(self, step: int, reason: str) -> None:
        try:
            for listen in self.listeners:
                listen(step, reason)
        finally:
            self.save()  # whatever a listener does, nothing that was computed is lost

    def _agree(self, device: torch.device) -> tuple[list[int], str | None]:
        """The signals, the first that counts first, and the reason of a hook: all processes stop after the same step and for the same."""
        if self.parallel.world == 1:
            return [number for number in self.signals if number in self.received], self.reason
        mine = [float(number in self.received) for number in self.signals] + [float(self.reason is not None)]
        *signals, requested = self.parallel.sum(torch.tensor(mine, device=device)).tolist()
        received = [number for number, count in zip(self.signals, signals, strict=True) if count > 0]
        return received, (self.reason or "a hook of another process asked for it") if requested else None
