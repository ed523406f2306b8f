"""What an optimiser is: torch optimisers stepped together, with learning rates scaled by the schedule."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch.optim import Optimizer as TorchOptimizer

from assay.core.config import Config
from assay.nn.linear import Parameter

SHRINK = "shrink"  # the key of a group whose weights are multiplied by 1 - lr * shrink before the update, whatever the optimiser does


class Optimizer:
    """One or more torch optimisers stepped together; each group's learning rate is its own times the schedule's factor."""

    def __init__(self, parts: Mapping[str, TorchOptimizer]) -> None:
        self.parts = dict(parts)
        self._rates = {name: [float(group["lr"]) for group in part.param_groups] for name, part in self.parts.items()}

    def step(self, factor: float) -> None:
        """One update with every learning rate multiplied by `factor`. A parameter without a gradient is left alone."""
        for name, part in self.parts.items():
            for group, rate in zip(part.param_groups, self._rates[name], strict=True):
                group["lr"] = rate * factor
            decay(part)
            part.step()

    def sampling(self, seed: int) -> AbstractContextManager[None]:
        """Around all forward and backward passes of a step: inside, the parameters are those at which the gradient is wanted.

        Afterwards they are exactly what they were. Kinds that draw these parameters at random draw them from `seed` alone.
        """
        return nullcontext()

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the parameters hold the weights that are scored, sampled from and saved as the model's; afterwards exactly their own."""
        return nullcontext()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none=True)

    def rates(self, factor: float) -> dict[str, float]:
        """The learning rate of each part, before the factors of single groups, by the part's name."""
        return {name: float(part.defaults["lr"]) * factor for name, part in self.parts.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs to go on bit for bit."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state, after the weights are loaded."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


@torch.no_grad()
def decay(part: TorchOptimizer) -> None:
    """Decoupled weight decay for optimisers whose own is a penalty: w <- (1 - lr shrink) w before the update."""
    for group in part.param_groups:
        if group.get(SHRINK):
            torch._foreach_mul_([p for p in group["params"] if p.grad is not None], 1 - group["lr"] * group[SHRINK])


class OptimizerConfig(Config, family="optimizer", package="assay.optim"):
    """How gradients become updates."""

    bytes_per_parameter: ClassVar[int] = 8  # of state, as the kind is by default

    def build(self, parameters: Sequence[Parameter]) -> Optimizer:
        """The optimiser of these parameters. Raises ConfigError for settings that mean nothing to them."""
        raise TypeError(f"{type(self).__name__} does not define build")

    def state_bytes(self, parameters: Sequence[Parameter]) -> int:
        """The memory that the optimiser of these parameters, in float32, keeps from step to step."""
        return self.bytes_per_parameter * sum(parameter.tensor.numel() for parameter in parameters)
