"""The linear map that every matrix of a model goes through, and the roles of parameters.

An optimiser chooses its groups by a parameter's *role*, which the type of the owning module gives, never by its name.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Role = Literal["matrix", "embedding", "vector", "head"]


class Linear(nn.Linear):
    """y = x W^T + b, x [..., D_in], y [..., D_out].

    `parts` are the heights of the matrices that are fused in W (query, key and value, for instance), so that an optimiser that
    works on whole matrices can take them apart. `residual` marks a map whose output is added to the residual stream.
    """

    gains: tuple[float, ...] = ()  # factors on what the initialisation draws for each part; none: all 1
    rate: float = 1.0  # factor on Adam's learning rate of W

    def __init__(self, width_in: int, width_out: int, *, bias: bool, parts: tuple[int, ...] = (), residual: bool = False):
        self.parts, self.residual = parts or (width_out,), residual
        super().__init__(width_in, width_out, bias=bias)

    def scale_drawn(self, gains: tuple[float, ...]) -> None:
        """Have the initialisation multiply what it draws for each part."""
        self.gains = gains

    def scale_rate(self, rate: float) -> None:
        """Have Adam learn W at so many times its rate; the initialisation asks for it."""
        self.rate = rate


class ExactLinear(Linear):
    """A linear map whose W stays in float32 where a number format copies the others to bfloat16: a small difference decides."""


class FactorisedLinear(nn.Module):
    """y_p = U_p V_p x + b for each of the `parts` that a `Linear` would fuse, U_p [D_p, R] and V_p [R, D_in].

    R (D_in + D_p) parameters instead of D_in D_p. `init` sets the scale of the factors so that U V varies as an unfactorised W would.
    """

    def __init__(
        self, width_in: int, width_out: int, *, rank: int, bias: bool, parts: tuple[int, ...] = (), residual: bool = False
    ) -> None:
        super().__init__()
        parts = parts or (width_out,)
        self.width_in, self.rank = width_in, rank
        self.down = Linear(width_in, rank * len(parts), bias=False, parts=(rank,) * len(parts))
        self.up = nn.ModuleList(Linear(rank, part, bias=bias, residual=residual) for part in parts)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.down(x).split(self.rank, dim=-1)
        return torch.cat([up(part) for up, part in zip(self.up, inner, strict=True)], dim=-1)


class NormalVectors(nn.Module):
    """`count` learned vectors [count, size] that begin as N(0, std) and are no matrix to an optimiser."""

    role: Role = "vector"

    def __init__(self, count: int, size: int, std: float) -> None:
        super().__init__()
        self.std = std
        self.weight = nn.Parameter(torch.zeros(count, size))


class Parameter(NamedTuple):
    """A parameter of a model with what an optimiser and a report need to know of it."""

    name: str
    tensor: nn.Parameter
    role: Role
    parts: tuple[int, ...]  # heights of the fused matrices; empty unless the role is matrix
    rate: float = 1.0  # factor on Adam's learning rate


def role_of_matrix(module: nn.Module) -> Role | None:
    """The role of the matrices that `module` owns directly, None if it owns none: `module.role` where stated, else by its type."""
    if all(tensor.ndim < 2 for tensor in module.parameters(recurse=False)):
        return None
    if isinstance(module, nn.Embedding):
        return "embedding"
    stated: Role = getattr(module, "role", "matrix")
    return stated


def parameters_by_role(model: nn.Module) -> Iterator[Parameter]:
    """Every parameter once, in the order of the module tree; a tied weight appears where it is first owned."""
    seen: set[int] = set()
    for path, module in model.named_modules():
        for name, tensor in module.named_parameters(recurse=False):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                role = (role_of_matrix(module) if tensor.ndim > 1 else None) or "vector"
                parts = getattr(module, "parts", (tensor.shape[0],)) if role == "matrix" else ()
                rate = getattr(module, "rate", 1.0) if role == "matrix" else 1.0
                yield Parameter(f"{path}.{name}" if path else name, tensor, role, parts, rate)
