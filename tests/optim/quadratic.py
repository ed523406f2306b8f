"""Steps on f(w) = 1.5 w^2 - w, of which everything is known, and parameters to take them with."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from assay.nn.linear import ParameterInfo, Role
from assay.optim.base import Optimizer, OptimizerConfig

FACTORS = (0.5, 1.0, 0.25)  # of the schedule
START = 2.0


def parameter(values: Sequence[float], role: Role = "matrix", rate: float = 1.0) -> ParameterInfo:
    """A row of weights in double precision."""
    return ParameterInfo("w", nn.Parameter(torch.tensor([values], dtype=torch.float64)), role, (1,), rate)


def slope(w: float) -> float:
    """f'(w)."""
    return 3 * w - 1


def steps(config: OptimizerConfig, factors: Sequence[float] = FACTORS) -> Iterator[float]:
    """The weight after each step, beginning at 2. IVON's gradient is taken where it draws."""
    given = parameter([START])
    optimizer = config.build([given])
    for seed, factor in enumerate(factors):
        with optimizer.use_sampled_weights(seed):
            given.tensor.grad = (3 * given.tensor - 1).detach()
        optimizer.step(factor)
        yield given.tensor.item()


def step_with(optimizer: Optimizer, parameters: Sequence[ParameterInfo], gradients: Sequence[Tensor], factor: float = 1.0) -> None:
    """One step with given gradients."""
    for each, gradient in zip(parameters, gradients, strict=True):
        each.tensor.grad = gradient.clone()
    optimizer.step(factor)
    optimizer.zero_grad()
