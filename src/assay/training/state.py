"""What changes while a model is trained, and what does not."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.parallel import Parallel
from assay.core.types import Mean, Term
from assay.data.batches import Batches
from assay.optim.base import Optimizer
from assay.optim.schedule import Schedule
from assay.training.budget import Budget
from assay.training.carried_state import CarriedState
from assay.training.config import TrainConfig
from assay.training.learner import Learner
from assay.training.precision import MixedPrecision, Precision
from assay.training.prefetcher import Prefetcher

Weights = dict[str, Tensor]


class BestCheckpoint(NamedTuple):
    """The checkpoint with the lowest validation score so far."""

    step: int
    bits_per_byte: float


class WeightAverage:
    """An exponential moving average of a model's weights (Polyak and Juditsky, 1992), which is scored beside the weights themselves.

    a <- d a + (1 - d) w after every step, with d_t = min(d, (1 + t) / (10 + t)) after step t, so that the initial weights are soon
    forgotten in a short run; the ramp is the one of TensorFlow's ExponentialMovingAverage. Buffers are copied as they are. Training does
    not see the average.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.weights: Weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after step t, counted from 0, to the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.weights[name].lerp_(tensor, 1 - decay)
            else:
                self.weights[name].copy_(tensor)

    @contextmanager
    def use_average(self) -> Iterator[None]:
        """Temporarily give the model the average for its weights."""
        own = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        try:
            self.model.load_state_dict(self.weights)
            yield
        finally:
            self.model.load_state_dict(own)

    def load_state_dict(self, weights: Weights) -> None:
        """Restore a saved average."""
        self.weights = {name: tensor.to(self.weights[name].device) for name, tensor in weights.items()}


@dataclass(slots=True)
class TrainState:
    """All that changes from step to step: data order and random streams are functions of `step`, so these few values are enough.

    `CarriedState` is saved apart, since all processes have to gather it together.
    """

    learner: Learner
    optimizer: Optimizer
    step: int = 0
    targets: float = 0.0  # scored in the loss so far
    steps: int | None = None  # the whole budget; None while a budget in minutes is still being measured
    best: BestCheckpoint | None = None
    carried_state: CarriedState = field(default_factory=CarriedState)
    weight_average: WeightAverage | None = None  # where one is kept
    mixed_precision: MixedPrecision = field(default_factory=lambda: MixedPrecision("float32", torch.device("cpu")))

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        return self.steps is not None and self.step >= self.steps

    @property
    def improved(self) -> bool:
        """Whether the validation after the last step was the best so far."""
        return self.best is not None and self.best.step == self.step

    def advance(self, targets: float) -> None:
        """Count a step that scored so many targets."""
        self.step += 1
        self.targets += targets

    def set_budget(self, steps: int | None) -> None:
        """Set the number of steps in all; None: not known yet."""
        self.steps = steps

    def set_best(self, bits_per_byte: float) -> None:
        """Record that the weights of now have the lowest validation figure so far."""
        self.best = BestCheckpoint(self.step, bits_per_byte)

    def state_dict(self) -> dict[str, Any]:
        """Return the plain values and the optimiser's state, for a checkpoint; the weights are saved beside them."""
        best = None if self.best is None else tuple(self.best)
        progress = {"step": self.step, "targets": self.targets, "steps": self.steps, "best": best}
        return {**progress, "optimizer": self.optimizer.state_dict(), "arithmetic": self.mixed_precision.state_dict()}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Restore saved values."""
        self.step, self.targets, self.steps = values["step"], values["targets"], values["steps"]
        self.best = None if values["best"] is None else BestCheckpoint(*values["best"])
        self.optimizer.load_state_dict(values["optimizer"])
        self.mixed_precision.load_state_dict(values.get("arithmetic", {}))


@dataclass(frozen=True, slots=True)
class TrainSetup:
    """What stays the same while a model is trained."""

    config: TrainConfig
    prefetcher: Prefetcher
    schedule: Schedule
    budget: Budget
    wrapped_learner: nn.Module  # the learner, compiled and distributed as configured
    device: torch.device
    parallel: Parallel
    precision: Precision

    @property
    def batches(self) -> Batches:
        """Which rows each step reads."""
        return self.prefetcher.batches


class StepResult(NamedTuple):
    """The results of one step on this process: loss terms and statistics as sums, and gradient norms before clipping."""

    terms: dict[str, Term]
    stats: dict[str, Mean]
    norms: Tensor  # [P], of each parameter in the learner's order
    total_norm: Tensor  # []
