"""Estimate the steps, memory and time of a run from a few real steps, of which nothing is kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from assay.core import parallel as processes
from assay.core.words import format_duration
from assay.experiment.assemble import Experiment
from assay.experiment.summary import summarize_experiment
from assay.tracking.base import Tracker
from assay.trainer.train_run import make_config, prepare_experiment
from assay.training.timing import time_steps

WARM_STEPS, MEASURED_STEPS = 3, 7


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """The cost of a run on this machine."""

    steps: int
    steps_per_epoch: int
    tokens_per_epoch: int
    epochs: float
    tokens_per_second: float
    training_seconds: float
    parameters: int
    flops_per_token: int
    memory_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def estimate_run(
    recipe: str, overrides: Sequence[str], scale: str | None, seed: int | None, data_dir: Path | None, tracker: Tracker
) -> RunEstimate | None:
    """Measure a few steps of a recipe, which the tracker shows; None in all but the main process."""
    config = make_config(recipe, overrides, scale, {"train.seed": seed}, data_dir)
    with processes.process_group() as parallel:
        return _measure(prepare_experiment(config, data_dir, parallel, tracker), tracker)


def _measure(experiment: Experiment, tracker: Tracker) -> RunEstimate | None:
    batches, state, setup = experiment.setup.batches, experiment.state, experiment.setup
    steps_in_all = WARM_STEPS + MEASURED_STEPS
    seconds: list[float] = []
    for number in range(1, steps_in_all + 1):
        left = f", about {format_duration(fmean(seconds) * (steps_in_all - number + 1))} left" if seconds else ""
        with tracker.show_busy(f"measuring step {number} of {steps_in_all}{left}"):
            seconds += time_steps(state, setup, 1)
    per_step = fmean(seconds[WARM_STEPS:])
    if not setup.parallel.is_main:
        return None
    steps = state.steps if state.steps is not None else setup.budget.steps_from_time(0, 0.0, per_step)
    summary = summarize_experiment(experiment.config, experiment.prepared.tokenizer.vocab_size)
    return RunEstimate(
        steps=steps,
        steps_per_epoch=batches.steps_per_epoch,
        tokens_per_epoch=batches.targets_per_epoch,
        epochs=steps / batches.steps_per_epoch,
        tokens_per_second=batches.targets_per_epoch / batches.steps_per_epoch / per_step,
        training_seconds=steps * per_step,
        parameters=summary.parameters_total,
        flops_per_token=summary.flops_per_token_training,
        memory_bytes=summary.memory_bytes["training"],
    )
