"""Estimate how fast a run goes and how long it will take, its final scores included."""

from collections.abc import Sequence

from assay.experiment.assemble import Experiment
from assay.tracking.base import Pace
from assay.trainer.scoring import FINAL_SCORES
from assay.training.clock import Clock
from assay.training.hook import Hook
from assay.training.hooks import ScoreHook, ValidationHook
from assay.training.loop import count_remaining_work
from assay.training.state import TrainState


def estimate_pace(experiment: Experiment, hooks: Sequence[Hook], clock: Clock) -> Pace:
    """Estimate the pace of a run after the step that it has made, and record the estimate of its end."""
    state, batches = experiment.state, experiment.setup.batches
    epoch_end = (state.step // batches.steps_per_epoch + 1) * batches.steps_per_epoch
    run_left = None
    if state.steps is not None:
        work = _count_work(state, hooks, clock, state.steps)
        work[ValidationHook.name] += round(FINAL_SCORES / experiment.validation_fraction)  # in sampled validations
        run_left = clock.estimate_and_record(work)
    sees_epoch_end = state.steps is None or epoch_end <= state.steps
    return Pace(
        step=state.step,
        steps=state.steps,
        epoch=batches.epoch_at(state.step),
        tokens_per_second=batches.targets_per_epoch / batches.steps_per_epoch / clock.seconds_per_step,
        epoch_left=clock.estimate(_count_work(state, hooks, clock, epoch_end)) if sees_epoch_end else None,
        run_left=run_left,
    )


def _count_work(state: TrainState, hooks: Sequence[Hook], clock: Clock, until: int) -> dict[str, int]:
    """Count what is left to do until a step. Scores of a kind that was not measured yet count as so many validations."""
    work = count_remaining_work(state, hooks, until)
    for hook in hooks:
        if isinstance(hook, ScoreHook) and hook.name not in clock.counts:
            work[ValidationHook.name] += round(work.pop(hook.name) * hook.cost)
    return work
