"""What a schedule is: the factor on every learning rate, a pure function of the step and of the share of the budget that is used.

Where the batch is not the one that the learning rates were chosen for, a rule ties them to it: rate <- rate r(B / B'), B' being the batch
they were chosen for. r(x) = x keeps what SGD does with a row the same (Goyal et al., arXiv 1706.02677, section 2.1), r(x) = sqrt(x) keeps
the noise of Adam's updates the same (Malladi et al., arXiv 2205.10287); the latter is the usual choice for every optimiser that divides by
the size of the gradient. Both hold up to a critical batch (McCandlish et al., arXiv 1812.06162) and compare runs over the same tokens, not
over the same steps. Ours scale learning rates alone; what decays over steps (beta2, the warm-up) stays as it is configured.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from assay.core.config import Config, setting
from assay.errors import ConfigError

RULES: dict[str, Callable[[float], float]] = {"none": lambda _: 1.0, "linear": lambda ratio: ratio, "sqrt": math.sqrt}


@dataclass(frozen=True, slots=True)
class Schedule:
    """The factor on every learning rate of one run."""

    curve: Callable[[int, float], float]  # of the step and of the share of the budget
    scale: float = 1.0  # by the rule for the batch

    def factor(self, step: int, fraction: float) -> float:
        """The factor of one step, counted from 0; `fraction` is step / steps."""
        return self.scale * self.curve(step, fraction)


class ScheduleConfig(Config, family="schedule", package="assay.optim.schedule"):
    """The factor on every learning rate: a curve over the whole budget, and the rule that ties the rates to the batch."""

    batch_rule: Literal["none", "linear", "sqrt"] = setting(
        "none", "how learning rates follow plan.batch / reference_batch: not at all, in proportion, or with its root",
        other="sqrt", bites="training",
    )  # fmt: skip
    reference_batch: int | None = setting(
        None, "rows in a step for which the learning rates were chosen; needs a batch_rule", other=2, bites="training", ge=1
    )

    def model_post_init(self, context: object) -> None:
        """Raises ConfigError for half a rule."""
        if self.batch_rule != "none" and self.reference_batch is None:
            raise ConfigError("batch_rule", f"{self.batch_rule} scales from a batch that is not given; add schedule.reference_batch")
        if self.batch_rule == "none" and self.reference_batch is not None:
            raise ConfigError("reference_batch", "is used by no rule; add schedule.batch_rule=linear or sqrt, or leave it out")

    def factor(self, step: int, fraction: float) -> float:
        """The factor of one step, without the rule for the batch."""
        raise TypeError(f"{type(self).__name__} does not define factor")

    def build(self, batch: int) -> Schedule:
        """The schedule of a run whose steps read so many rows."""
        return Schedule(self.factor, RULES[self.batch_rule](batch / (self.reference_batch or batch)))


class WarmedConfig(ScheduleConfig):
    """A shape over the budget, times a linear warm-up: step t of `warmup` has (t + 1) / warmup, so that the first one is not lost."""

    warmup: int = setting(0, "steps of linear warm-up", other=5, bites="training", ge=0)

    def shape(self, fraction: float) -> float:
        """The factor at `fraction` in [0, 1] of the budget, without the warm-up."""
        raise TypeError(f"{type(self).__name__} does not define shape")

    def factor(self, step: int, fraction: float) -> float:
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return warm * self.shape(fraction)
