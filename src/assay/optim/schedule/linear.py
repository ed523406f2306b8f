"""A straight line over the budget: f = 1 + (final - 1) p at the share p of it."""

from typing import Literal

from assay.core.config import setting
from assay.optim.schedule.base import WarmedConfig


class LinearConfig(WarmedConfig):
    """From 1 down to `final` in a straight line."""

    kind: Literal["linear"] = "linear"
    final: float = setting(0.0, "the factor at the end", other=0.5, bites="training", ge=0, le=1)

    def shape(self, fraction: float) -> float:
        return 1 + (self.final - 1) * fraction
