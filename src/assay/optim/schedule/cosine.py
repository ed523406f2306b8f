"""Half a cosine over the budget (Loshchilov and Hutter, arXiv 1608.03983, equation 5): f = final + (1 - final) (1 + cos(pi p)) / 2.

One cycle over the whole budget, without the paper's restarts.
"""

import math
from typing import Literal

from assay.core.config import setting
from assay.optim.schedule.base import WarmedConfig


class CosineConfig(WarmedConfig):
    """From 1 to `final` along half a cosine (Loshchilov and Hutter, arXiv 1608.03983, one cycle, no restarts)."""

    kind: Literal["cosine"] = "cosine"
    final: float = setting(0.1, "the factor at the end", other=0.5, bites="training", ge=0, le=1)

    def shape(self, fraction: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * fraction))
