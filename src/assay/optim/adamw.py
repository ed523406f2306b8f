"""AdamW (Loshchilov and Hutter, arXiv 1711.05101): Adam with weight decay apart from the gradient.

m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  w <- w - lr (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + decay w).
"""

from collections.abc import Sequence
from typing import Literal

import torch

from assay.core.config import setting
from assay.nn.linear import Parameter
from assay.optim.base import Optimizer
from assay.optim.groups import GroupedConfig


class AdamwConfig(GroupedConfig):
    """AdamW by torch's fused kernel: each weight moves by its mean gradient over the root of its mean square; weights decay apart."""

    kind: Literal["adamw"] = "adamw"
    beta1: float = setting(0.9, "decay of the mean gradient", other=0.5, bites="training", ge=0, lt=1)
    beta2: float = setting(0.95, "decay of the mean squared gradient", other=0.5, bites="training", ge=0, lt=1)
    eps: float = setting(1e-8, "added to the root of the mean square", other=1e-2, bites="training", gt=0)

    def torch_optimizer(self, parameters: Sequence[Parameter], place: str = "optimizer") -> torch.optim.AdamW:
        """The torch optimiser itself, for kinds that use AdamW for part of the parameters; `place` is where errors say they are."""
        groups = self.groups(parameters, place)
        return torch.optim.AdamW(groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)

    def build(self, parameters: Sequence[Parameter]) -> Optimizer:
        return Optimizer({"adamw": self.torch_optimizer(parameters)})
