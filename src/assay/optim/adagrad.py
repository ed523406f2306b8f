"""Adagrad (Duchi, Hazan and Singer, JMLR 2011): steps shrink with the root of the sum of all squared gradients so far.

s <- s + g^2;  w <- w - lr g / (sqrt(s) + eps).

Rare features, such as the embeddings of rare tokens, keep larger steps for longer. The sum never shrinks, so steps fall as 1 / sqrt(t) by
themselves; the first one moves every weight by about lr, and a warm-up or `initial` softens it.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from assay.core.config import setting
from assay.nn.linear import Parameter
from assay.optim.base import Optimizer
from assay.optim.groups import DecayConfig


class AdagradConfig(DecayConfig):
    """Adagrad: each weight's steps are divided by the root of the sum of its squared gradients, and so fall for ever."""

    kind: Literal["adagrad"] = "adagrad"
    lr: float = setting(0.02, "learning rate", other=0.1, bites="training", gt=0)
    initial: float = setting(0.0, "what the sums of squares begin at", other=0.1, bites="training", ge=0)
    eps: float = setting(1e-10, "added to the root of the sum", other=1e-2, bites="training", gt=0)

    bytes_per_parameter: ClassVar[int] = 4

    def build(self, parameters: Sequence[Parameter]) -> Optimizer:
        on_cpu = all(parameter.tensor.device.type == "cpu" for parameter in parameters)  # where alone torch has the fused kernel
        groups, kernel = self.groups(parameters), {"fused": True} if on_cpu else {"foreach": True}
        return Optimizer(
            {"adagrad": torch.optim.Adagrad(groups, lr=self.lr, initial_accumulator_value=self.initial, eps=self.eps, **kernel)}
        )
