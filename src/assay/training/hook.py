"""Hooks: what a run does besides steps. A hook may look at everything, disturbs nothing, and may ask the run to stop.

The trainer calls its public events. A hook overrides those it needs:

    begin              once, before the first step: the run that it is in
    after_step         after every step
    after_validation   after every validation, with its metrics
    before_stop        when the run is asked to stop, before it saves and ends
"""

from collections.abc import Mapping
from typing import Any, Protocol

from assay.training.state import StepResult, TrainSetup, TrainState

Metrics = Mapping[str, Any]  # of a validation, by name: bits_per_byte, standard_error, nats_per_token, ...


class TrainingContext(Protocol):
    """What a hook may read of the run that it is in, and ask of it."""

    state: TrainState
    setup: TrainSetup

    def count_steps(self, amount: str) -> int:
        """Convert an amount of training, such as `0.5epochs` or `20000tokens`, to steps, at least one."""

    def evaluate(self, metric: str) -> float:
        """Score the model as it is now on the sampled validation text; `metric` is a name in a score."""

    def request_stop(self, reason: str) -> None:
        """Stop after this step: save, and raise `StoppedEarly` with this reason."""


class StepInterval:
    """An interval of `steps` steps, which also ends with the run if `at_end`."""

    def __init__(self, steps: int, state: TrainState, *, at_end: bool) -> None:
        self.steps, self.state, self.at_end = steps, state, at_end

    def is_due(self, step: int) -> bool:
        """Return whether the interval ends after this many steps."""
        return step % self.steps == 0 or (self.at_end and step == self.state.steps)

    def count_due(self, begin: int, end: int) -> int:
        """Count how often it ends after steps begin + 1 to end."""
        last = self.at_end and begin < end == self.state.steps and end % self.steps > 0
        return end // self.steps - begin // self.steps + last


class Hook:
    """The base of all hooks: does nothing, saves nothing.

    >>> class CountValidations(assay.Hook):
    ...     name = "count_validations"
    ...     count = 0
    ...     def after_validation(self, step, metrics):
    ...         self.count += 1
    >>> hook = CountValidations()
    >>> run = assay.train(recipe, hooks=[hook])
    >>> hook.count
    2
    """

    name = "hook"  # the kind of work that the clock measures, and the key of its state in a checkpoint
    interval: StepInterval | None = None  # when it works, beyond bookkeeping; None: never

    def is_due(self, step: int) -> bool:
        """Return whether the hook works, beyond bookkeeping, after this many steps."""
        return self.interval is not None and self.interval.is_due(step)

    def count_due(self, begin: int, end: int) -> int:
        """Estimate how often it works after steps begin + 1 to end: for the time left."""
        return 0 if self.interval is None else self.interval.count_due(begin, end)

    def begin(self, training: TrainingContext) -> None:
        """Called once, before the first step that this process makes."""

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """Called after every step."""

    def after_validation(self, step: int, metrics: Metrics) -> None:
        """Called after every validation."""

    def before_stop(self, step: int, reason: str) -> None:
        """Called when the run was asked to stop, by a signal or a hook, before it saves and ends."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the hook has to remember across a resume."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
