"""Stochastic gradient descent with momentum (Polyak 1964), and Nesterov's look ahead (Sutskever et al., ICML 2013).

m <- momentum m + g, from m = g;  w <- w - lr m, or w - lr (g + momentum m) with Nesterov.

Momentum is a sum, not a mean: the steps of a constant gradient grow to lr / (1 - momentum). Their size follows that of the gradient, so the
best learning rate is larger than Adam's by orders of magnitude, and differs more between models.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from assay.core.config import setting
from assay.errors import ConfigError
from assay.nn.linear import Parameter
from assay.optim.base import Optimizer
from assay.optim.groups import DecayConfig


class SgdConfig(DecayConfig):
    """Gradient descent with momentum, or with Nesterov's; updates are as large as gradients."""

    kind: Literal["sgd"] = "sgd"
    lr: float = setting(0.3, "learning rate", other=0.1, bites="training", gt=0)
    momentum: float = setting(0.9, "share of the last update in the next", other=0.5, bites="training", ge=0, lt=1)
    nesterov: bool = setting(False, "take the gradient's own share after the momentum", other=True, bites="training")

    bytes_per_parameter: ClassVar[int] = 4
    scales_with_gradient: ClassVar[bool] = True

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        if self.nesterov and self.momentum == 0:
            raise ConfigError("nesterov", "looks ahead along the momentum, and that is 0; raise momentum or set nesterov to false")

    def build(self, parameters: Sequence[Parameter]) -> Optimizer:
        groups = self.groups(parameters)
        return Optimizer({"sgd": torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, fused=True)})

    def state_bytes(self, parameters: Sequence[Parameter]) -> int:
        return super().state_bytes(parameters) if self.momentum else 0
