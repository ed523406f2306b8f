"""The loop."""

from collections.abc import Sequence
from contextlib import nullcontext

from assay.core.devices import synchronize
from assay.training.budget import CALIBRATION_STEPS, WARM_STEPS
from assay.training.eta import STEP, WARM_UP, Clock, training_seconds
from assay.training.hook import Hook
from assay.training.state import Setup, TrainState
from assay.training.step import train_step


def train(state: TrainState, setup: Setup, hooks: Sequence[Hook], clock: Clock) -> None:
    """Steps until the budget is used up, each followed by every hook in order."""
    began = state.step
    while not state.finished:
        with clock.measure(WARM_UP if state.step < began + WARM_STEPS else STEP):
            result = train_step(state, setup)
            if state.step <= began + CALIBRATION_STEPS:
                synchronize(setup.device)
        if state.steps is None and state.step >= CALIBRATION_STEPS:
            state.set_budget(measured_budget(state, setup, clock))
        for hook in hooks:
            with clock.measure(hook.name) if hook.due(state.step) else nullcontext():
                hook.after_step(state, result)


def measured_budget(state: TrainState, setup: Setup, clock: Clock) -> int:
    """A budget in minutes as steps, now that enough are measured: schedules depend on steps only, so resume stays exact."""
    measured = STEP in clock.counts  # not so where every start was interrupted before its warm-up ended
    per_step = clock.spent[STEP] / clock.counts[STEP] if measured else clock.step
    steps = setup.budget.steps_from_time(state.step, training_seconds(clock.spent), per_step)
    return int(setup.parallel.first(str(steps)))


def work_left(state: TrainState, hooks: Sequence[Hook], until: int) -> dict[str, int]:
    """How many steps, and how many times each hook's work, lie between now and step `until`."""
    return {STEP: until - state.step, **{hook.name: hook.times(state.step, until) for hook in hooks}}
