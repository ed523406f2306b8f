"""Lion (Chen et al., arXiv 2302.06675, program 1): every weight moves by the learning rate, in the direction of a sign.

u = sign(b1 m + (1 - b1) g);  w <- w - lr (u + decay w);  m <- b2 m + (1 - b2) g.

One moment instead of Adam's two. Every weight moves by the full learning rate, so that is smaller than AdamW's (by 3 to 10, the
authors say) and the decay larger by as much. The sign of 0 is 0. A sign step is as long as Adam's in any width, so muP's rates are
honoured.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch

from assay.core.config import setting
from assay.nn.linear import ParameterInfo
from assay.optim.base import Optimizer
from assay.optim.groups import GroupedConfig


class LionConfig(GroupedConfig):
    """Lion: every weight moves by the learning rate, along the sign of a mean gradient; one moment instead of Adam's two."""

    kind: Literal["lion"] = "lion"
    lr: float = setting(3e-3, "learning rate, by which every weight moves", alternative=1e-3, affects="training", gt=0)
    beta1: float = setting(0.9, "share of the mean in the update", alternative=0.5, affects="training", ge=0, lt=1)
    beta2: float = setting(0.99, "decay of the mean gradient", alternative=0.5, affects="training", ge=0, lt=1)
    weight_decay: float = setting(0.3, "decoupled decay, multiplied by the learning rate", alternative=0.9, affects="training", ge=0)

    bytes_per_parameter: ClassVar[int] = 4

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        return Optimizer({"lion": Lion(self.param_groups(parameters), self)})


class Lion(torch.optim.Optimizer):
    """Lion's update rule."""

    def __init__(self, groups: list[dict[str, Any]], config: LionConfig) -> None:
        super().__init__(groups, {"lr": config.lr, "beta1": config.beta1, "beta2": config.beta2})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            gradients = [p.grad for p in weights]
            for p in weights:
                if "mean" not in self.state[p]:
                    self.state[p]["mean"] = torch.zeros_like(p)
            means = [self.state[p]["mean"] for p in weights]
            updates = torch._foreach_lerp(means, gradients, 1 - group["beta1"])
            torch._foreach_sign_(updates)
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(weights, updates, alpha=-group["lr"])
            torch._foreach_lerp_(means, gradients, 1 - group["beta2"])
