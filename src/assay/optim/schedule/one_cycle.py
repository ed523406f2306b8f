"""One cycle (Smith and Topin, arXiv 1708.07120; Smith, arXiv 1803.09820): up, down as long, and then far below where it began.

    f goes in straight lines from `start` to 1 at `rise`, back to `start` at 2 `rise`, and to `final` at the end

The rise is a warm-up of its own, so there is no other. Smith lets the momentum go down while the learning rate goes up; here it stays. The
papers find the highest rate by a range test (`assay lr-range`) and begin at a tenth or a twentieth of it.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from assay.core.config import setting
from assay.errors import ConfigError
from assay.optim.schedule.base import ScheduleConfig


class OneCycleConfig(ScheduleConfig):
    """One cycle: up to 1, down as long, then to almost nothing (Smith and Topin, arXiv 1708.07120)."""

    kind: Literal["one_cycle"] = "one_cycle"
    rise: float = setting(0.45, "share of the budget in which the factor rises, and again that in which it falls", other=0.2,
                          bites="training", gt=0, le=0.5)  # fmt: skip
    start: float = setting(0.1, "the factor at the beginning", other=0.5, bites="training", gt=0, lt=1)
    final: float = setting(0.001, "the factor at the end", other=0.05, bites="training", ge=0)

    @model_validator(mode="before")
    @classmethod
    def _refuse_warmup(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "warmup" in data:
            raise ConfigError("warmup", "one_cycle rises by itself; leave it out, and set schedule.rise to the share of the rise")
        return data

    def model_post_init(self, context: object) -> None:
        """Raises ConfigError for an end above the beginning."""
        super().model_post_init(context)
        if self.final > self.start:
            raise ConfigError(
                "final", f"{self.final} is above schedule.start={self.start}, and the cycle ends below its beginning; lower it"
            )

    def factor(self, step: int, fraction: float) -> float:
        if fraction < self.rise:
            return self.start + (1 - self.start) * fraction / self.rise
        if fraction < 2 * self.rise:
            return 1 + (self.start - 1) * (fraction - self.rise) / self.rise
        rest = 1 - 2 * self.rise
        return self.start + (self.final - self.start) * ((fraction - 2 * self.rise) / rest if rest > 0 else 0.0)
