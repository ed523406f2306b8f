"""Schedule-free AdamW (Defazio et al., arXiv 2405.15682, algorithm 1): an average of the weights in place of a schedule that decays.

Three sequences: z makes AdamW's steps without its momentum, x is the average of z and is the model, and gradients are taken between them:

    y = (1 - b1) z + b1 x;   v <- b2 v + (1 - b2) g(y)^2;   z <- z - lr (g(y) / (sqrt(v / (1 - b2^t)) + eps) + decay y);
    x <- (1 - c) x + c z,    c = q_t / (q_1 + ... + q_t),   q_t = (the largest lr so far)^2.

The average with the weights c falls like a learning rate that decays to zero, at every moment, so no schedule with a decay is needed:
take `schedule=constant` with a warm-up, which is. A schedule that decays works too, and slows the last steps down twice. Weights q that
follow the learning rate keep the steps of a warm-up from counting in full; the largest one, not the present one, is what the authors'
code uses.

The parameters hold y in training. Scores, samples and saved weights are of x (`averaged`). x and z are both kept and y is computed from
them alone, so that neither looking at x nor a resumed run changes a bit; the authors' code keeps z and y, which is a third less and not
exact.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.nn.linear import Parameter
from assay.optim.base import Optimizer
from assay.optim.groups import GroupedConfig


class ScheduleFreeAdamwConfig(GroupedConfig):
    """Schedule-free AdamW: the model is an average of the weights, and no decay of the learning rate is needed (schedule=constant)."""

    kind: Literal["schedule_free_adamw"] = "schedule_free_adamw"
    lr: float = setting(1e-2, "learning rate", other=3e-3, bites="training", gt=0)
    beta1: float = setting(0.9, "how near the average gradients are taken, in place of momentum", other=0.5, bites="training", ge=0, lt=1)
    beta2: float = setting(0.95, "decay of the mean squared gradient", other=0.5, bites="training", ge=0, lt=1)
    eps: float = setting(1e-8, "added to the root of the mean square", other=1e-2, bites="training", gt=0)

    bytes_per_parameter: ClassVar[int] = 12

    def build(self, parameters: Sequence[Parameter]) -> Optimizer:
        return Averaging(ScheduleFreeAdamw(self.groups(parameters), self))


class Averaging(Optimizer):
    """Schedule-free AdamW as one part, whose average can stand in for the parameters."""

    def __init__(self, part: "ScheduleFreeAdamw") -> None:
        super().__init__({"schedule_free_adamw": part})
        self.part = part

    def averaged(self) -> AbstractContextManager[None]:
        return self.part.averaged()


class ScheduleFreeAdamw(torch.optim.Optimizer):
    """The update above."""

    def __init__(self, groups: list[dict[str, Any]], config: ScheduleFreeAdamwConfig) -> None:
        counts = {"steps": 0, "largest": 0.0, "weights": 0.0}
        super().__init__(groups, {"lr": config.lr, "beta1": config.beta1, "beta2": config.beta2, "eps": config.eps, **counts})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
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
                place_between(y, state, group["beta1"])

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the parameters are the average x; afterwards y again."""
        try:
            with torch.no_grad():
                for parameter, state in self.state.items():
                    parameter.copy_(state["x"])
            yield
        finally:
            self._place()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state: the parameters, which were saved as x, become y."""
        super().load_state_dict(dict(state_dict))
        self._place()

    @torch.no_grad()
    def _place(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter in self.state:
                    place_between(parameter, self.state[parameter], group["beta1"])


def place_between(parameter: Tensor, state: Mapping[str, Tensor], share: float) -> None:
    """y = (1 - share) z + share x."""
    parameter.copy_(state["z"].lerp(state["x"], share))
