"""The interface of every optimiser: torch optimisers stepped together, with learning rates scaled by the schedule."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch.optim import Optimizer as TorchOptimizer

from assay.core.config import Config
from assay.nn.linear import ParameterInfo

DECOUPLED_DECAY = "shrink"  # key of a group whose weights are multiplied by 1 - lr * shrink before the optimiser's own update


class Optimizer:
    """One or more torch optimisers stepped together; each group's learning rate is its own times the schedule's factor.

    `sampled` and `averaged` make the contexts of the two methods below, for kinds that have such weights.
    """

    def __init__(
        self,
        parts: Mapping[str, TorchOptimizer],
        sampled: Callable[[int], AbstractContextManager[None]] | None = None,
        averaged: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.parts = dict(parts)
        self._sampled, self._averaged = sampled, averaged
        self._rates = {name: [float(group["lr"]) for group in part.param_groups] for name, part in self.parts.items()}

    def step(self, factor: float) -> None:
        """Make one update with every learning rate multiplied by `factor`. A parameter without a gradient is left alone."""
        for name, part in self.parts.items():
            for group, rate in zip(part.param_groups, self._rates[name], strict=True):
                group["lr"] = rate * factor
            apply_decoupled_decay(part)
            part.step()

    def use_sampled_weights(self, seed: int) -> AbstractContextManager[None]:
        """Set the parameters, for all passes of a step, to those at which gradients are taken, and restore their own exactly afterwards.

        Kinds that draw these parameters at random draw them from `seed` alone.
        """
        return nullcontext() if self._sampled is None else self._sampled(seed)

    def use_averaged_weights(self) -> AbstractContextManager[None]:
        """Set the parameters to the weights that are scored, sampled and saved as the model's, and restore their own exactly afterwards."""
        return self._averaged()

    def zero_grad(self) -> None:
        """Clear the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none=True)

    def learning_rates(self, factor: float) -> dict[str, float]:
        """Return the learning rate of each part by its name, before the factors of single groups."""
        return {name: float(part.defaults["lr"]) * factor for name, part in self.parts.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs to continue bit for bit."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a saved state, after the weights."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


@torch.no_grad()
def apply_decoupled_decay(part: TorchOptimizer) -> None:
    """Apply decoupled weight decay for optimisers whose own is a penalty: w <- (1 - lr shrink) w before the update."""
    for group in part.param_groups:
        if group.get(DECOUPLED_DECAY):
            torch._foreach_mul_([p for p in group["params"] if p.grad is not None], 1 - group["lr"] * group[DECOUPLED_DECAY])


class OptimizerConfig(Config, family="optimizer", package="assay.optim"):
    """The rule by which gradients become updates."""

    bytes_per_parameter: ClassVar[int] = 8  # of state, with the default settings

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        """Build the optimiser of these parameters. Raises ConfigError for settings that have no effect on them."""
        raise TypeError(f"{type(self).__name__} does not define build")

    def learning_rate(self, parameter: ParameterInfo) -> float | None:
        """Return the learning rate of a parameter before the schedule's factor; None for a kind that does not say."""
        return None

    def state_bytes(self, parameters: Sequence[ParameterInfo]) -> int:
        """Compute the bytes of state that the optimiser of these parameters, in float32, keeps from step to step."""
        return self.bytes_per_parameter * sum(parameter.tensor.numel() for parameter in parameters)
