"""What changes while a model is trained, and what does not."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.parallel import Parallel
from assay.core.types import Mean, Term
from assay.data.plan import Plan
from assay.optim.base import Optimizer
from assay.optim.schedule.base import Schedule
from assay.training.average import Average
from assay.training.budget import Budget
from assay.training.carry import Carry
from assay.training.feeder import Feeder
from assay.training.learner import Learner
from assay.training.precision import Arithmetic, Precision


class Best(NamedTuple):
    """The checkpoint with the lowest validation figure so far."""

    step: int
    bits_per_byte: float


@dataclass(slots=True)
class TrainState:
    """Where a run stands. Data order and random streams are functions of `step`, so these few values are all of it.

    What a model carries from row to row is saved by `Carry`, which all processes have to be asked for.
    """

    learner: Learner
    optimizer: Optimizer
    step: int = 0
    targets: float = 0.0  # scored in the loss so far
    steps: int | None = None  # the whole budget; None while a budget in minutes is still being measured
    best: Best | None = None
    carry: Carry = field(default_factory=Carry)
    average: Average | None = None  # of the weights, where one is kept
    arithmetic: Arithmetic = field(default_factory=lambda: Arithmetic("float32", torch.device("cpu")))

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        return self.steps is not None and self.step >= self.steps

    def advance(self, targets: float) -> None:
        """A step that scored so many targets is done."""
        self.step += 1
        self.targets += targets

    def set_budget(self, steps: int | None) -> None:
        """So many steps are all that will be made; None: that is not known yet."""
        self.steps = steps

    def improve(self, bits_per_byte: float) -> None:
        """The weights of now have the lowest validation figure so far."""
        self.best = Best(self.step, bits_per_byte)

    def values(self) -> dict[str, Any]:
        """The plain values and the optimiser, for a checkpoint; the weights are saved beside them."""
        best = None if self.best is None else tuple(self.best)
        optimizer = self.optimizer.state_dict()
        progress = {"step": self.step, "targets": self.targets, "steps": self.steps, "best": best}
        return {**progress, "optimizer": optimizer, "arithmetic": self.arithmetic.state_dict()}

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from saved values."""
        self.step, self.targets, self.steps = values["step"], values["targets"], values["steps"]
        self.best = None if values["best"] is None else Best(*values["best"])
        self.optimizer.load_state_dict(values["optimizer"])
        self.arithmetic.load_state_dict(values.get("arithmetic", {}))


@dataclass(frozen=True, slots=True)
class Setup:
    """What stays the same while a model is trained."""

    feeder: Feeder
    schedule: Schedule
    budget: Budget
    wrapped: nn.Module  # the learner, compiled and distributed as asked
    device: torch.device
    parallel: Parallel
    precision: Precision
    seed: int
    accumulation: int
    clip: float | None  # of the norm of the whole gradient
    clip_value: float | None = None  # of each of its elements
    noise_scale: bool = False  # whether it is measured

    @property
    def plan(self) -> Plan:
        """Which rows each step reads."""
        return self.feeder.plan


class StepResult(NamedTuple):
    """What one step gave on this process: loss terms and statistics as sums, and gradient norms before clipping."""

    terms: dict[str, Term]
    stats: dict[str, Mean]
    norms: Tensor  # [P], of each parameter in the learner's order
    total_norm: Tensor  # []
