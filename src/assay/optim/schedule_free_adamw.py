"""Schedule-free AdamW (Defazio et al., arXiv 2405.15682, algorithm 1): an average of the weights in place of a schedule that decays.

Three sequences: z makes AdamW's steps without its momentum, x is the average of z and is the model, and gradients are taken between them:

    y = (1 - b1) z + b1 x;   v <- b2 v + (1 - b2) g(y)^2;   z <- z - lr (g(y) / (sqrt(v / (1 - b2^t)) + eps) + decay y);
    x <- (1 - c) x + c z,    c = q_t / (q_1 + ... + q_t),   q_t = (the largest lr so far)^2.

The average with the weights c falls like a learning rate that decays to zero, at every moment, so no schedule with a decay is needed:
take `schedule=constant` with a warm-up, which is. A schedule that decays works too, and slows the last steps down twice. Weights q that
follow the learning rate keep the steps of a warm-up from counting in full; the largest one, not the present one, is what the authors'
code uses.

The parameters hold y in training. Scores, samples and saved weights are of x (`use_averaged_weights`). x and z are both kept and y is
computed from them alone, so that neither scoring x nor a resumed run changes a bit; the authors' code keeps z and y, which is a third less
and not exact.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.nn.linear import ParameterInfo
from assay.optim.base import Optimizer
from assay.optim.groups import GroupedConfig


class ScheduleFreeAdamwConfig(GroupedConfig):
    """Schedule-free AdamW: the model is an average of the weights, and no decay of the learning rate is needed (schedule=constant)."""

    kind: Literal["schedule_free_adamw"] = "schedule_free_adamw"
    lr: float = setting(1e-2, "learning rate", alternative=3e-3, affects="training", gt=0)
    beta1: float = setting(0.9, "share of the average x in y, where gradients are taken", alternative=0.5, affects="training", ge=0, lt=1)
    beta2: float = setting(0.95, "decay of the mean squared gradient", alternative=0.5, affects="training", ge=0, lt=1)
    eps: float = setting(1e-8, "added to the root of the mean square", alternative=1e-2, affects="training", gt=0)

    bytes_per_parameter: ClassVar[int] = 12

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        part = ScheduleFreeAdamw(self.param_groups(parameters), self)
        return Optimizer({"schedule_free_adamw": part}, averaged=part.use_averaged_weights)


class ScheduleFreeAdamw(torch.optim.Optimizer):
    """The update rule of schedule-free AdamW, and its average."""

    def __init__(self, groups: list[dict[str, Any]], config: ScheduleFreeAdamwConfig) -> None:
        counts = {"steps": 0, "largest": 0.0, "weights": 0.0}
        super().__init__(groups, {"lr": config.lr, "beta1": config.beta1, "beta2": config.beta2, "eps": config.eps, **counts})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            group["steps"] += 1
            group["largest"] = max(group["largest"], group["lr"])
            group["weights"] += group["largest"] ** 2
            share = group["largest"] ** 2 / group["weights"] if group["weights"] else 0.0
            for y in group["params"]:
                if y.grad is None:
                    continue
                state = self.state[y]
                if not state:
                    state.update(x=y.detach().clone(), z=y.detach().clone(), square=torch.zeros_like(y))
                square: Tensor = state["square"].mul_(group["beta2"]).addcmul_(y.grad, y.grad, value=1 - group["beta2"])
                root = (square / (1 - group["beta2"] ** group["steps"])).sqrt_().add_(group["eps"])
                state["z"].sub_((y.grad / root).add_(y, alpha=group["weight_decay"]), alpha=group["lr"])
                state["x"].lerp_(state["z"], share)
                set_interpolated(y, state, group["beta1"])

    @contextmanager
    def use_averaged_weights(self) -> Iterator[None]:
        """Set the parameters to the average x inside, and to y afterwards."""
        try:
            with torch.no_grad():
                for parameter, state in self.state.items():
                    parameter.copy_(state["x"])
            yield
        finally:
            self._set_to_y()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a saved state: the parameters, which were saved as x, become y."""
        super().load_state_dict(dict(state_dict))
        self._set_to_y()

    @torch.no_grad()
    def _set_to_y(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter in self.state:
                    set_interpolated(parameter, self.state[parameter], group["beta1"])


def set_interpolated(parameter: Tensor, state: Mapping[str, Tensor], share: float) -> None:
    """Set a parameter to y = (1 - share) z + share x."""
    parameter.copy_(state["z"].lerp(state["x"], share))
