"""Use a function as a hook: it gets one event at a time, in plain values, and may ask the run to stop.

One that ends a run which does not learn:

    def stop_early(event):
        if event.name == "validated" and event.bits_per_byte > 2.0 and event.step > 400:
            event.stop("not learning")
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from assay.errors import UserError
from assay.tracking.base import FurtherScore
from assay.training.clock import STEP, WARM_UP
from assay.training.hook import Hook, Metrics, TrainingContext
from assay.training.hooks import CheckpointHook, EarlyStopping, LogHook, SampleHook, StopHook, ValidationHook
from assay.training.state import StepResult, TrainState

OWN_HOOKS = (LogHook, ValidationHook, EarlyStopping, SampleHook, CheckpointHook, StopHook)
RESERVED_NAMES = {STEP, WARM_UP, *(hook.name for hook in OWN_HOOKS), *get_args(FurtherScore)}  # kinds of work that the clock measures
EventName = Literal["step", "validated", "stopping"]


@dataclass(frozen=True)
class Event:
    """Something that happened in a run: a `step` was made, the model was `validated`, or the run is `stopping`.

    >>> losses = []
    >>> def keep_loss(event):
    ...     if event.name == "step":
    ...         losses.append(event.metrics["loss"])
    ...     if event.name == "validated" and event.bits_per_byte < 8:
    ...         event.stop("better than bytes at random")
    >>> run = assay.train(recipe, hooks=[keep_loss])
    >>> run.status.state, run.status.error, run.status.step == len(losses)
    ('interrupted', 'better than bytes at random', True)
    """

    name: EventName
    step: int
    steps: int | None  # of the whole budget; None while a budget in minutes is still being measured
    tokens: int  # scored in the loss so far
    compute_metrics: Callable[[], Mapping[str, Any]]
    request_stop: Callable[[str], None]

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        """After a step: `loss` (nats per token) and `gradient_norm`, which on a GPU waits for it; after a validation: its metrics."""
        return self.compute_metrics()

    @property
    def bits_per_byte(self) -> float:
        """Of the validation text. Raises UserError where nothing was validated."""
        if self.name != "validated":
            raise UserError(f'event.bits_per_byte: a {self.name} event has none; ask for event.name == "validated" first')
        return float(self.metrics["bits_per_byte"])

    def stop(self, reason: str) -> None:
        """Save and end the run after this step; its status has the reason, and `run.resume()` goes on."""
        self.request_stop(reason)


class CallbackHook(Hook):
    """Calls a function with every event."""

    def __init__(self, function: Callable[[Event], object], number: int) -> None:
        self.function, self.name = function, f"callback_{number}"

    def begin(self, training: TrainingContext) -> None:
        """Keep the run that the events are of."""
        self.training = training

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """Send a `step` event."""
        self._send("step", state.step, lambda: step_metrics(result))

    def after_validation(self, step: int, metrics: Metrics) -> None:
        """Send a `validated` event."""
        self._send("validated", step, lambda: metrics)

    def before_stop(self, step: int, reason: str) -> None:
        """Send a `stopping` event."""
        self._send("stopping", step, dict)

    def _send(self, name: EventName, step: int, compute_metrics: Callable[[], Mapping[str, Any]]) -> None:
        state = self.training.state
        self.function(Event(name, step, state.steps, int(state.targets), compute_metrics, self.training.request_stop))


def step_metrics(result: StepResult) -> dict[str, float]:
    """Compute the metrics of a step, of this process's part of the batch."""
    return {"loss": float(result.terms["loss"].mean.value()), "gradient_norm": float(result.total_norm)}


def as_hooks(hooks: Sequence[Hook | Callable[[Event], object]] | None) -> list[Hook]:
    """Wrap functions as hooks; None is no hook. Raises UserError for what is neither, and for names whose saved states would collide."""
    if isinstance(hooks, Hook) or callable(hooks):
        raise UserError("hooks: takes a list, even of one; write hooks=[...]")
    if not isinstance(hooks, Iterable | None):
        raise UserError(f"hooks: {hooks!r} is no list of hooks; write hooks=[...]")
    wrapped: list[Hook] = []
    for number, hook in enumerate(() if hooks is None else hooks):
        if isinstance(hook, type) and issubclass(hook, Hook):
            raise UserError(f"hooks: {hook.__name__} is a class; give an object of it, {hook.__name__}()")
        if not isinstance(hook, Hook) and not callable(hook):
            raise UserError(f"hooks: {hook!r} is neither a Hook nor a function of one event")
        wrapped.append(hook if isinstance(hook, Hook) else CallbackHook(hook, number))
    with_state = Counter(hook.name for hook in wrapped if type(hook).state_dict is not Hook.state_dict)
    for hook in wrapped:
        if hook.name in RESERVED_NAMES or with_state[hook.name] > 1:
            taken = "a name of the run's own" if hook.name in RESERVED_NAMES else "the name of two hooks that save a state"
            raise UserError(f"hooks: '{hook.name}' is {taken}; give the class another `name`")
    return wrapped
