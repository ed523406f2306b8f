"""Keep the errors of a caller's hook until the step is whole, so that it can be saved before they end the run."""

from collections.abc import Callable
from typing import Any

from assay.training.hook import Hook, Metrics, TrainingContext
from assay.training.state import StepResult, TrainState


class GuardedHook(Hook):
    """A hook of the caller's. An error that it raises is handed on, so that the run's own hooks see a whole step before it ends."""

    def __init__(self, hook: Hook, on_error: Callable[[Exception], None]) -> None:
        self.hook, self.name, self.on_error = hook, hook.name, on_error

    def is_due(self, step: int) -> bool:
        return self.hook.is_due(step)

    def count_due(self, begin: int, end: int) -> int:
        return self.hook.count_due(begin, end)

    def begin(self, training: TrainingContext) -> None:
        self.hook.begin(training)

    def after_step(self, state: TrainState, result: StepResult) -> None:
        try:
            self.hook.after_step(state, result)
        except Exception as error:
            self.on_error(error)

    def after_validation(self, step: int, metrics: Metrics) -> None:
        try:
            self.hook.after_validation(step, metrics)
        except Exception as error:
            self.on_error(error)

    def before_stop(self, step: int, reason: str) -> None:
        self.hook.before_stop(step, reason)

    def state_dict(self) -> dict[str, Any]:
        return self.hook.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.hook.load_state_dict(state)
