"""Warm-up, stable, decay (Hu et al., MiniCPM, arXiv 2404.06395, section 4): f = 1 until the last `decay` of the budget.

    f = 1 + (final - 1) g(x) at the share x of the decay

With g(x) = x, a straight line, it is what others call a trapezoid; g(x) = sqrt(x) falls faster at first and was a little better in Hägele
et al., arXiv 2405.18392, section 3, who call it 1-sqrt. MiniCPM itself decays exponentially. All of the stable part is the beginning of any
longer run, so that a checkpoint in it can be trained further under a larger budget.
"""

import math
from typing import Literal

from assay.core.config import setting
from assay.optim.schedule.base import WarmedConfig


class WsdConfig(WarmedConfig):
    """Warm-up, stable, decay: 1 until the last `decay` of the budget, then down to `final` (arXiv 2404.06395)."""

    kind: Literal["wsd"] = "wsd"
    decay: float = setting(0.2, "share of the budget in which the factor falls", other=0.9, bites="training", gt=0, le=1)
    final: float = setting(0.0, "the factor at the end", other=0.5, bites="training", ge=0, le=1)
    curve: Literal["linear", "sqrt"] = setting(
        "linear", "the fall over its share x: linear as 1 - x, sqrt as 1 - sqrt(x)", other="sqrt", bites="training"
    )

    def shape(self, fraction: float) -> float:
        fallen = max(0.0, (fraction - (1 - self.decay)) / self.decay)
        return 1 + (self.final - 1) * (math.sqrt(fallen) if self.curve == "sqrt" else fallen)
