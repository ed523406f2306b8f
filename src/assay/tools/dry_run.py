"""Steps, memory and time of a training, from a few real steps that are thrown away."""

import time
from dataclasses import asdict, dataclass

from assay.core.config import Tree
from assay.experiment.assemble import Experiment
from assay.experiment.describe import of_experiment
from assay.training.step import train_step

WARM, MEASURED = 3, 7  # steps


@dataclass(frozen=True, slots=True)
class TrainingCosts:
    """What a training would take."""

    steps: int
    steps_per_epoch: int
    tokens_per_epoch: int
    epochs: float
    tokens_per_second: float
    seconds_of_training: float  # besides validation and samples
    parameters: int
    flops_per_token: int  # forward and backward
    memory_bytes: int

    def tree(self) -> Tree:
        """As plain values."""
        return asdict(self)


def estimate_costs(experiment: Experiment) -> TrainingCosts:
    """Train a few steps of an assembled experiment, in all of its processes, and tell what the whole of it would take."""
    plan, state, setup = experiment.setup.plan, experiment.state, experiment.setup
    for _ in range(WARM):
        train_step(state, setup)
    began = time.perf_counter()
    for _ in range(MEASURED):
        train_step(state, setup)
    per_step = (time.perf_counter() - began) / MEASURED
    steps = state.steps if state.steps is not None else setup.budget.steps_from_time(0, 0.0, per_step)
    described = of_experiment(experiment.config, experiment.prepared.tokenizer.size)
    return TrainingCosts(
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
