"""The inverse root of the step (Vaswani et al., arXiv 1706.03762, section 5.3): f = sqrt(W) min(t^-0.5, t W^-1.5) in step t = 1, 2, ...

The paper's factor d^-0.5 min(t^-0.5, t W^-1.5) is a learning rate in itself; ours is divided by its highest value, which it has at the end
of the W steps of warm-up, so that the learning rates of the config are the highest ones. It is a function of the step alone: a run that is
extended goes on as if it had been meant to be longer from the beginning.
"""

import math
from typing import Literal

from assay.core.config import setting
from assay.optim.schedule.base import ScheduleConfig


class InverseSqrtConfig(ScheduleConfig):
    """Up to 1 in a straight line, then as 1 / sqrt(step) (Vaswani et al., arXiv 1706.03762), whatever the budget."""

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    warmup: int = setting(100, "steps W of linear warm-up; the fall goes by them too: half of 1 at 4 W", other=5, bites="training", ge=1)

    def factor(self, step: int, fraction: float) -> float:
        return min(math.sqrt(self.warmup / (step + 1)), (step + 1) / self.warmup)
