"""Schedules: the factor on every learning rate, a pure function of the step."""

import math
from typing import Literal

from assay.core.config import Config, setting


class ScheduleConfig(Config, family="schedule", package="assay.optim.schedule"):
    """The factor on every learning rate: a linear warm-up, then a shape over the whole budget.

    The warm-up factor of step t is (t + 1) / warmup, so that the first step is not lost.
    """

    warmup: int = setting(0, "steps of linear warm-up", other=5, bites="training", ge=0)

    def shape(self, fraction: float) -> float:
        """The factor at `fraction` in [0, 1] of the budget, without the warm-up."""
        raise TypeError(f"{type(self).__name__} does not define shape")

    def factor(self, step: int, fraction: float) -> float:
        """The factor of one step, `fraction` being step / steps."""
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return warm * self.shape(fraction)


class ConstantConfig(ScheduleConfig):
    """1 after the warm-up."""

    kind: Literal["constant"] = "constant"

    def shape(self, fraction: float) -> float:
        return 1.0


class LinearConfig(ScheduleConfig):
    """From 1 down to `final` in a straight line."""

    kind: Literal["linear"] = "linear"
    final: float = setting(0.0, "the factor at the end", other=0.5, bites="training", ge=0, le=1)

    def shape(self, fraction: float) -> float:
        return 1 + (self.final - 1) * fraction


class CosineConfig(ScheduleConfig):
    """From 1 to `final` along half a cosine (Loshchilov and Hutter, arXiv 1608.03983, one cycle, no restarts)."""

    kind: Literal["cosine"] = "cosine"
    final: float = setting(0.1, "the factor at the end", other=0.5, bites="training", ge=0, le=1)

    def shape(self, fraction: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * fraction))


class WsdConfig(ScheduleConfig):
    """Warm-up, stable, decay: 1 until the last `decay` of the budget, then a straight line to `final` (arXiv 2404.06395)."""

    kind: Literal["wsd"] = "wsd"
    decay: float = setting(0.2, "share of the budget in which the factor falls", other=0.9, bites="training", gt=0, le=1)
    final: float = setting(0.0, "the factor at the end", other=0.5, bites="training", ge=0, le=1)

    def shape(self, fraction: float) -> float:
        return 1 + (self.final - 1) * max(0.0, (fraction - (1 - self.decay)) / self.decay)
