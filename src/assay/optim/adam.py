"""Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1), with weight decay as a penalty, which is what came before AdamW.

g <- g + decay w;  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  w <- w - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps).

The penalty is divided by the root of v like the rest of the gradient, so weights with large gradients decay less. Decay apart from the
gradient is kind `adamw`, so it is not offered here.
"""

from collections.abc import Sequence
from typing import Literal

import torch

from assay.core.config import setting
from assay.nn.linear import Parameter
from assay.optim.base import Optimizer
from assay.optim.groups import GroupedConfig


class AdamConfig(GroupedConfig):
    """Adam by torch's fused kernel; weight decay is an L2 penalty inside the gradient, so it is not AdamW."""

    kind: Literal["adam"] = "adam"
    lr: float = setting(3e-3, "learning rate", other=1e-3, bites="training", gt=0)
    weight_decay: float = setting(1e-4, "factor of the weights in the gradient", other=0.5, bites="training", ge=0)
    beta1: float = setting(0.9, "decay of the mean gradient", other=0.5, bites="training", ge=0, lt=1)
    beta2: float = setting(0.95, "decay of the mean squared gradient", other=0.5, bites="training", ge=0, lt=1)
    eps: float = setting(1e-8, "added to the root of the mean square", other=1e-2, bites="training", gt=0)

    def build(self, parameters: Sequence[Parameter]) -> Optimizer:
        betas = (self.beta1, self.beta2)
        return Optimizer({"adam": torch.optim.Adam(self.groups(parameters), lr=self.lr, betas=betas, eps=self.eps, fused=True)})
