"""What happens besides steps is a hook: it may look at everything, disturbs nothing, and may ask the run to stop.

The trainer calls its public events. A hook overrides those it needs:

    begin              once, before the first step: the run that it is in
    after_step         after every step
    after_validation   after every validation, with its figures
    before_stop        when the run is asked to stop, before it saves and ends
"""

from collections.abc import Mapping
from typing import Any, Protocol

from assay.training.state import Setup, StepResult, TrainState

Figures = Mapping[str, Any]  # of a validation, by name: bits_per_byte, standard_error, nats_per_token, ...


class Training(Protocol):
    """What a hook may read of the run that it is in, and ask of it."""

    state: TrainState
    setup: Setup

    def count_steps(self, amount: str) -> int:
        """An amount of training, such as `0.5epochs` or `20000tokens`, in steps, at least one."""

    def measure(self, figure: str) -> float:
        """A figure of the model as it is now, by its name in a score, on the sampled validation text."""

    def request_stop(self, reason: str) -> None:
        """Stop after this step: save, and raise `StopRequested` with this reason."""


class Hook:
    """The base of all hooks: does nothing, remembers nothing.

    >>> class CountValidations(assay.Hook):
    ...     name = "count_validations"
    ...     count = 0
    ...     def after_validation(self, step, figures):
    ...         self.count += 1
    >>> hook = CountValidations()
    >>> run = assay.train(recipe, hooks=[hook])
    >>> hook.count
    2
    """

    name = "hook"  # the kind of work that the clock measures, and the key of its memory in a checkpoint

    def due(self, step: int) -> bool:
        """Whether the hook does its work, beyond bookkeeping, after this many steps."""
        return False

    def times(self, begin: int, end: int) -> int:
        """How often, about, it is due after steps begin + 1 to end: for the time left."""
        return 0

    def begin(self, training: Training) -> None:
        """Called once, before the first step that this process makes."""

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """Called after every step."""

    def after_validation(self, step: int, figures: Figures) -> None:
        """Called after every validation."""

    def before_stop(self, step: int, reason: str) -> None:
        """Called when the run was asked to stop, by a signal or a hook, before it saves and ends."""

    def state_dict(self) -> dict[str, Any]:
        """What the hook has to remember across a resume."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""


class Every:
    """A rhythm in steps: every `n` of them, and at the end where asked."""

    def __init__(self, n: int | None, state: TrainState, *, at_end: bool) -> None:
        self.n, self.state, self.at_end = n, state, at_end

    def due(self, step: int) -> bool:
        """Whether step falls on the rhythm."""
        return (self.n is not None and step % self.n == 0) or (self.at_end and step == self.state.steps)

    def times(self, begin: int, end: int) -> int:
        """How many of the steps begin + 1 to end fall on the rhythm."""
        on_the_beat = 0 if self.n is None else end // self.n - begin // self.n
        last = self.at_end and begin < end == self.state.steps and (self.n is None or end % self.n > 0)
        return on_the_beat + last


class Regular(Hook):
    """A hook that works on a rhythm."""

    def __init__(self, every: Every) -> None:
        self.every = every

    def due(self, step: int) -> bool:
        """Whether step falls on the rhythm."""
        return self.every.due(step)

    def times(self, begin: int, end: int) -> int:
        """How often it falls between."""
        return self.every.times(begin, end)
