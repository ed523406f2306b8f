"""The learning rate stays as it is: f = 1."""

from typing import Literal

from assay.optim.schedule.base import WarmedConfig


class ConstantConfig(WarmedConfig):
    """1 after the warm-up."""

    kind: Literal["constant"] = "constant"

    def shape(self, fraction: float) -> float:
        return 1.0
