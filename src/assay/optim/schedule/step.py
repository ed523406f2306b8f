"""Stairs: f = gamma^n after the n-th milestone.

As residual networks were trained (He et al., arXiv 1512.03385, section 4.2: divided by ten after 32,000 and 48,000 of 64,000 steps), but
for milestones that are shares of the budget, so that they keep their places when it changes.
"""

from bisect import bisect_right
from typing import Literal

from assay.core.config import setting
from assay.errors import ConfigError
from assay.optim.schedule.base import WarmedConfig


class StepConfig(WarmedConfig):
    """Stairs: times `gamma` at each of some shares of the budget (He et al., arXiv 1512.03385)."""

    kind: Literal["step"] = "step"
    milestones: tuple[float, ...] = setting((0.5, 0.75), "shares of the budget at which a stair begins", other=[0.25], bites="training")
    gamma: float = setting(0.1, "what each stair multiplies by", other=0.5, bites="training", gt=0, lt=1)

    def model_post_init(self, context: object) -> None:
        """Raises ConfigError for milestones that are not shares in rising order."""
        super().model_post_init(context)
        if not self.milestones:
            raise ConfigError("milestones", "none are given, so nothing would ever fall; name shares such as [0.5, 0.75], or use constant")
        if not all(0 < milestone < 1 for milestone in self.milestones) or list(self.milestones) != sorted(set(self.milestones)):
            raise ConfigError("milestones", f"{list(self.milestones)} are not shares of the budget between 0 and 1 in rising order")

    def shape(self, fraction: float) -> float:
        return float(self.gamma ** bisect_right(self.milestones, fraction))
