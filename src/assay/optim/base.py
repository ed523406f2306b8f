"""What an optimiser is: groups chosen by the role of a parameter, a learning rate scaled by the schedule."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch.optim import Optimizer as TorchOptimizer

from assay.core.config import Config
from assay.nn.linear import Parameter


class Optimizer:
    """One or more torch optimisers stepped together; each group's learning rate is its own times the schedule's factor."""

    def __init__(self, parts: Mapping[str, TorchOptimizer]) -> None:
        self.parts = dict(parts)
        self._rates = {name: [float(group["lr"]) for group in part.param_groups] for name, part in self.parts.items()}

    def step(self, factor: float) -> None:
        """One update with every learning rate multiplied by `factor`."""
        for name, part in self.parts.items():
            for group, rate in zip(part.param_groups, self._rates[name], strict=True):
                group["lr"] = rate * factor
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none=True)

    def rates(self, factor: float) -> dict[str, float]:
        """The learning rate of each part's first group, by the part's name."""
        return {name: rates[0] * factor for name, rates in self._rates.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs to go on bit for bit."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


class OptimizerConfig(Config, family="optimizer", package="assay.optim"):
    """How gradients become updates."""

    bytes_per_parameter: ClassVar[int] = 8  # of state, for the estimate of memory

    def build(self, parameters: Sequence[Parameter]) -> Optimizer:
        """The optimiser of these parameters."""
        raise TypeError(f"{type(self).__name__} does not define build")


def decay_groups(parameters: Sequence[Parameter], lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for Adam: matrices of every role decay, vectors (biases, gains) do not; and each group has one learning rate.

    Where a parameter's rate differs from `lr`, its decay differs inversely, so that their product, by which it shrinks in a step, does not.
    """
    groups: dict[tuple[bool, float], list[torch.Tensor]] = {}
    for decays in (True, False):
        for parameter in parameters:
            if (parameter.role != "vector") is decays:
                groups.setdefault((decays, parameter.rate), []).append(parameter.tensor)
    return [
        {"params": tensors, "lr": lr * rate, "weight_decay": weight_decay / rate if decays else 0.0}
        for (decays, rate), tensors in groups.items()
    ]
