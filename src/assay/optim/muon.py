"""Muon (Jordan et al. 2024, github.com/KellerJordan/Muon): momentum whose singular values are all set to about one.

m <- m + (1 - b)(g - m);  u = g + b (m - g);  X = u / |u|_F;  five times X <- a X + (b' A + c A^2) X with A = X X^T;
w <- (1 - lr decay) w - lr sqrt(max(1, rows / columns)) X.

For the hidden matrices only: embeddings, head, biases and gains go to AdamW. Matrices that are fused in one parameter (query, key, value)
are taken apart first. Matrices of one shape are iterated together as a batch; the iteration runs in bfloat16 where training does, which
the coefficients are made for: singular values end between about 0.7 and 1.1, not at 1.

An update has singular values of about lr sqrt(max(1, rows / columns)) whatever the width, which is the size that keeps what it does to
activations the same in every width (the spectral condition, Yang et al., arXiv 2310.17813, with sqrt(rows / columns); they differ by a
constant as long as shapes keep their proportions). So Muon ignores `ParameterInfo.lr_scale`, by which init `mup` divides Adam's learning
rate; AdamW for the rest does.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.errors import ConfigError
from assay.nn.linear import ParameterInfo
from assay.optim.base import Optimizer, OptimizerConfig
from assay.optim.torch_optimizers import AdamwConfig

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, from the authors' muon.py


def orthogonalize(u: Tensor, iterations: int) -> Tensor:
    """Compute roughly the nearest semi-orthogonal matrices of a batch u [N, R, C] with R <= C."""
    a, b, c = COEFFICIENTS
    x: Tensor = u / (u.float().norm(dim=(-2, -1), keepdim=True).to(u.dtype) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class MuonConfig(OptimizerConfig):
    """Muon for the hidden matrices, AdamW for all else."""

    kind: Literal["muon"] = "muon"
    lr: float = setting(0.02, "learning rate of the hidden matrices", alternative=0.05, affects="training", gt=0)
    momentum: float = setting(0.95, "decay b of the mean gradient", alternative=0.5, affects="training", ge=0, lt=1)
    iterations: int = setting(5, "steps of the orthogonalising iteration", alternative=2, affects="training", ge=1, le=100)
    weight_decay: float = setting(0.0, "decoupled decay of the hidden matrices", alternative=0.5, affects="training", ge=0)
    precision: Literal["bf16", "float32"] = setting("bf16", "arithmetic of the iteration", alternative="float32", affects="training")
    rest: AdamwConfig = setting(AdamwConfig(), "the optimiser of all other parameters", alternative={"lr": 3e-3}, affects="training")

    bytes_per_parameter: ClassVar[int] = 4

    def model_post_init(self, context: object) -> None:
        if "matrix" in self.rest.rates:
            raise ConfigError("rest.rates.matrix", "has nothing to act on, as Muon has the matrices; change optimizer.lr instead")

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        matrices, others = _split_by_role(parameters)
        parts: dict[str, torch.optim.Optimizer] = {}
        if matrices:
            parts["muon"] = Muon(matrices, self)
        if others:
            parts["adamw"] = self.rest.build_torch_optimizer(others, "optimizer.rest")
        return Optimizer(parts)

    def learning_rate(self, parameter: ParameterInfo) -> float:
        return self.lr if parameter.role == "matrix" else self.rest.learning_rate(parameter)

    def state_bytes(self, parameters: Sequence[ParameterInfo]) -> int:
        matrices, others = _split_by_role(parameters)
        return super().state_bytes(matrices) + self.rest.state_bytes(others)


def _split_by_role(parameters: Sequence[ParameterInfo]) -> tuple[list[ParameterInfo], list[ParameterInfo]]:
    """Split parameters into hidden matrices and all others."""
    return [one for one in parameters if one.role == "matrix"], [one for one in parameters if one.role != "matrix"]


class Muon(torch.optim.Optimizer):
    """Muon's update rule, for parameters of role `matrix`."""

    def __init__(self, parameters: Sequence[ParameterInfo], config: MuonConfig) -> None:
        self.heights = {parameter.tensor: parameter.parts for parameter in parameters}
        self.iterations = config.iterations
        self.dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
        defaults = {"lr": config.lr, "momentum": config.momentum, "weight_decay": config.weight_decay}
        super().__init__([parameter.tensor for parameter in parameters], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            by_shape: defaultdict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update = self._momentum(parameter, group["momentum"])
                    heights = self.heights[parameter]
                    for target, piece in zip(parameter.split(heights), update.split(heights), strict=True):
                        by_shape[tuple(piece.shape)].append((target, piece))
            for (rows, columns), pairs in by_shape.items():
                stacked = torch.stack([piece for _, piece in pairs]).to(self.dtype)
                tall = rows > columns
                flat = orthogonalize(stacked.mT if tall else stacked, self.iterations)
                step = (flat.mT if tall else flat).to(pairs[0][0].dtype)
                for (target, _), change in zip(pairs, step, strict=True):
                    target.mul_(1 - group["lr"] * group["weight_decay"])
                    target.sub_(change, alpha=group["lr"] * max(1.0, rows / columns) ** 0.5)

    def _momentum(self, parameter: Tensor, decay: float) -> Tensor:
        """Update the mean gradient m of a parameter, and return Nesterov's u."""
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        mean: Tensor = state["momentum"].lerp_(gradient, 1 - decay)
        return gradient.lerp(mean, decay)
