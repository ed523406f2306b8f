"""RMSprop (Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning, 2012): Adagrad that forgets.

v <- b v + (1 - b) g^2;  u = g / (sqrt(v) + eps);  m <- momentum m + u;  w <- w - lr m  (without momentum w - lr u).

As in torch, eps is outside the root and v, which begins at 0, is not corrected for it: first steps are larger, by up to 1 / sqrt(1 - b), so
begin with a warm-up.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from assay.core.config import setting
from assay.nn.linear import Parameter
from assay.optim.base import Optimizer
from assay.optim.groups import DecayConfig


class RmspropConfig(DecayConfig):
    """RMSprop: each weight's gradient over the root of its mean square, with or without momentum."""

    kind: Literal["rmsprop"] = "rmsprop"
    lr: float = setting(2e-3, "learning rate", other=5e-3, bites="training", gt=0)
    beta: float = setting(0.99, "decay of the mean squared gradient", other=0.5, bites="training", ge=0, lt=1)
    momentum: float = setting(0.0, "share of the last update in the next", other=0.5, bites="training", ge=0, lt=1)
    eps: float = setting(1e-8, "added to the root of the mean square", other=1e-2, bites="training", gt=0)

    bytes_per_parameter: ClassVar[int] = 4

    def build(self, parameters: Sequence[Parameter]) -> Optimizer:
        groups = self.groups(parameters)
        part = torch.optim.RMSprop(groups, lr=self.lr, alpha=self.beta, eps=self.eps, momentum=self.momentum, foreach=True)
        return Optimizer({"rmsprop": part})

    def state_bytes(self, parameters: Sequence[Parameter]) -> int:
        return super().state_bytes(parameters) * (2 if self.momentum else 1)
