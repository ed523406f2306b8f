"""What training would take: steps, memory and time, from a few real steps that are thrown away."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assay.core import parallel as processes
from assay.experiment.assemble import Experiment
from assay.experiment.describe import of_experiment
from assay.tracking.base import Tracker
from assay.trainer.make import make_config
from assay.trainer.start import prepare_experiment
from assay.training.step import train_step

WARM, MEASURED = 3, 7  # steps


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What a run would take on this machine."""

    steps: int
    steps_per_epoch: int
    tokens_per_epoch: int
    epochs: float
    tokens_per_second: float
    seconds_of_training: float
    parameters: int
    flops_per_token: int
    memory_bytes: int

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def estimate_run(
    recipe: str, overrides: Sequence[str], named: Mapping[str, Any], data_dir: Path | None, tracker: Tracker
) -> RunEstimate | None:
    """Measure a few steps of a recipe; `named` are scale and seed. None in all but the first process."""
    config = make_config(recipe, overrides, named["scale"], {"train.seed": named["seed"]})
    with processes.joined() as parallel:
        return _measure(prepare_experiment(config, data_dir, parallel, tracker))


def _measure(experiment: Experiment) -> RunEstimate | None:
    plan, state, setup = experiment.setup.plan, experiment.state, experiment.setup
    for _ in range(WARM):
        train_step(state, setup)
    began = time.perf_counter()
    for _ in range(MEASURED):
        train_step(state, setup)
    per_step = (time.perf_counter() - began) / MEASURED
    if not setup.parallel.main:
        return None
    steps = state.steps if state.steps is not None else setup.budget.steps_from_time(0, 0.0, per_step)
    described = of_experiment(experiment.config, experiment.prepared.tokenizer.size)
    return RunEstimate(
        steps=steps,
        steps_per_epoch=plan.steps_per_epoch,
        tokens_per_epoch=plan.targets_per_epoch,
        epochs=steps / plan.steps_per_epoch,
        tokens_per_second=plan.targets_per_epoch / plan.steps_per_epoch / per_step,
        seconds_of_training=steps * per_step,
        parameters=described.total,
        flops_per_token=described.flops_training,
        memory_bytes=described.memory["training"],
    )
