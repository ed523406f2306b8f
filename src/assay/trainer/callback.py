"""A function as a hook: it gets one event at a time, in plain values, and may ask the run to stop.

One that ends a run which does not learn:

    def stop_early(event):
        if event.name == "validated" and event.bits_per_byte > 2.0 and event.step > 400:
            event.stop("not learning")
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from assay.errors import UserError
from assay.training.eta import STEP, WARM_UP
from assay.training.hook import Figures, Hook, Training
from assay.training.hooks import Log, Patience, Sample, Save, Stop, Validate
from assay.training.state import StepResult, TrainState

RESERVED = {STEP, WARM_UP, *(own.name for own in (Log, Validate, Patience, Sample, Save, Stop))}  # kinds of work that the clock measures
Name = Literal["step", "validated", "stopping"]


@dataclass(frozen=True)
class Event:
    """Something that happened in a run: a `step` was made, the model was `validated`, or the run is `stopping`.

    >>> losses = []
    >>> def keep_loss(event):
    ...     if event.name == "step":
    ...         losses.append(event.figures["loss"])
    ...     if event.name == "validated" and event.bits_per_byte < 8:
    ...         event.stop("better than bytes at random")
    >>> run = assay.train(recipe, hooks=[keep_loss])
    >>> run.status.state, run.status.error, run.status.step == len(losses)
    ('interrupted', 'better than bytes at random', True)
    """

    name: Name
    step: int
    steps: int | None  # of the whole budget; None while a budget in minutes is still being measured
    tokens: int  # scored in the loss so far
    measure: Callable[[], Mapping[str, Any]]
    request_stop: Callable[[str], None]

    @cached_property
    def figures(self) -> Mapping[str, Any]:
        """After a step: `loss` (nats per token) and `gradient_norm`, which on a GPU waits for it; after a validation: its figures."""
        return self.measure()

    @property
    def bits_per_byte(self) -> float:
        """Of the validation text. Raises UserError where nothing was validated."""
        if self.name != "validated":
            raise UserError(f'event.bits_per_byte: a {self.name} event has none; ask for event.name == "validated" first')
        return float(self.figures["bits_per_byte"])

    def stop(self, reason: str) -> None:
        """Let the run save and end after this step; its status tells the reason, and `run.resume()` goes on."""
        self.request_stop(reason)


class Callback(Hook):
    """Calls a function with every event."""

    def __init__(self, call: Callable[[Event], object], number: int) -> None:
        self.call, self.name = call, f"callback_{number}"

    def begin(self, training: Training) -> None:
        """Remember whose events these are."""
        self.training = training

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """A step was made."""
        self._send("step", state.step, lambda: measure_step(result))

    def after_validation(self, step: int, figures: Figures) -> None:
        """The model was validated."""
        self._send("validated", step, lambda: figures)

    def before_stop(self, step: int, reason: str) -> None:
        """The run is about to save and end."""
        self._send("stopping", step, dict)

    def _send(self, name: Name, step: int, measure: Callable[[], Mapping[str, Any]]) -> None:
        state = self.training.state
        self.call(Event(name, step, state.steps, int(state.targets), measure, self.training.request_stop))


def measure_step(result: StepResult) -> dict[str, float]:
    """The figures of a step, of this process's part of the batch."""
    return {"loss": float(result.terms["loss"].mean.value()), "gradient_norm": float(result.total_norm)}


def as_hooks(hooks: Sequence[Hook | Callable[[Event], object]] | None) -> list[Hook]:
    """Hooks as they are, functions as callbacks; None is none. Raises UserError for what is neither, and for names that mix memories."""
    if isinstance(hooks, Hook) or callable(hooks):
        raise UserError("hooks: takes a list, even of one; write hooks=[...]")
    found: list[Hook] = []
    for number, hook in enumerate(() if hooks is None else hooks):
        if isinstance(hook, type) and issubclass(hook, Hook):
            raise UserError(f"hooks: {hook.__name__} is a class; give an object of it, {hook.__name__}()")
        if not isinstance(hook, Hook) and not callable(hook):
            raise UserError(f"hooks: {hook!r} is neither a Hook nor a function of one event")
        found.append(hook if isinstance(hook, Hook) else Callback(hook, number))
    remembering = Counter(hook.name for hook in found if type(hook).state_dict is not Hook.state_dict)
    for hook in found:
        if hook.name in RESERVED or remembering[hook.name] > 1:
            taken = "a name of the run's own" if hook.name in RESERVED else "the name of two hooks that remember something"
            raise UserError(f"hooks: '{hook.name}' is {taken}; give the class another `name`")
    return found
