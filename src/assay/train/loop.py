"""The loop."""

from collections.abc import Sequence
from typing import Any, Protocol

from assay.core.devices import synchronize
from assay.train.budget import CALIBRATION_STEPS, WARM_STEPS
from assay.train.eta import Clock
from assay.train.state import Setup, StepResult, TrainState
from assay.train.step import train_step


class Hook(Protocol):
    """Something that happens after a step: it may look at everything and disturbs nothing."""

    name: str  # the kind of work that the clock measures

    def due(self, step: int) -> bool:
        """Whether the hook does its work, beyond bookkeeping, after this many steps."""

    def __call__(self, state: TrainState, result: StepResult) -> None:
        """Called after every step."""

    def state_dict(self) -> dict[str, Any]:
        """What the hook has to remember across a resume."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""


def train(state: TrainState, setup: Setup, hooks: Sequence[Hook], clock: Clock) -> None:
    """Steps until the budget is used up, each followed by every hook in order."""
    while not state.finished:
        with clock.measure("step"):
            result = train_step(state, setup)
            if state.step <= CALIBRATION_STEPS:
                synchronize(setup.device)
        if state.steps is None:
            measure_budget(state, setup, clock)
        for hook in hooks:
            if hook.due(state.step):
                with clock.measure(hook.name):
                    hook(state, result)
            else:
                hook(state, result)


def measure_budget(state: TrainState, setup: Setup, clock: Clock) -> None:
    """Turn a budget in minutes into steps once enough steps are measured: schedules depend on steps only, so resume stays exact."""
    if state.step == WARM_STEPS:
        clock.add("warm-up", clock.spent["step"])
        clock.spent["step"], clock.counts["step"] = 0.0, 0
    if state.step < CALIBRATION_STEPS:
        return
    measured = CALIBRATION_STEPS - WARM_STEPS
    per_step = clock.spent["step"] / measured
    spent = clock.spent["step"] + clock.spent["warm-up"]
    steps = setup.budget.steps_from_time(state.step, spent, per_step)
    state.steps = int(setup.parallel.first(str(steps)))


def work_left(state: TrainState, hooks: Sequence[Hook], until: int) -> dict[str, int]:
    """How many steps, and how many times each hook's work, lie between now and step `until`."""
    steps = range(state.step + 1, until + 1)
    return {"step": len(steps), **{hook.name: sum(hook.due(step) for step in steps) for hook in hooks}}
