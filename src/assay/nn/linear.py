"""The linear maps and tables that hold the weights of a model, and the roles of parameters.

An optimiser chooses its groups by a parameter's *role*, which the type of the owning module gives, never by its name.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Role = Literal["matrix", "embedding", "vector", "head"]
Place = Literal["logits", "queries"]


class Linear(nn.Linear):
    """y = x W^T + b, x [..., D_in], y [..., D_out].

    `parts` are the heights of the matrices that are fused in W (query, key and value, for instance), so that an optimiser that
    works on whole matrices can take them apart. `residual` marks a map whose output is added to the residual stream.
    """

    init_gains: tuple[float, ...] = ()  # factors on what the initialisation draws for each part; none: all 1
    lr_scale: float = 1.0  # factor on Adam's learning rate of W

    def __init__(self, width_in: int, width_out: int, *, bias: bool, parts: tuple[int, ...] = (), residual: bool = False):
        self.parts, self.residual = parts or (width_out,), residual
        super().__init__(width_in, width_out, bias=bias)

    def set_init_gains(self, gains: tuple[float, ...]) -> None:
        """Set the factor by which the initialisation multiplies the weights that it draws for each part."""
        self.init_gains = gains

    def set_lr_scale(self, lr_scale: float) -> None:
        """Set the factor on Adam's learning rate of W, as the initialisation asks."""
        self.lr_scale = lr_scale


class Float32Linear(Linear):
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


class FactorisedEmbedding(nn.Module):
    """A table of V x E and a map to D (Lan et al., ALBERT, arXiv 1909.11942, section 3.1): tokens [B, T] -> U v(tokens), [B, T, D].

        e(token) = U v(token), v in a table [V, E], U [D, E];        tied logits: z = v(U^T h)

    The same two factors serve a tied head, transposed: V E + E D parameters instead of V D, and as much less work in the head. That pays
    for vocabularies of thousands; bytes have so small a table that there is nothing to save. ALBERT's E is 128 (from memory). The table
    begins as an unfactorised one would and U with variance 1 / E, so that e varies as it would without factors; ALBERT draws both alike.
    """

    def __init__(self, vocabulary: int, size: int, width: int) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = vocabulary, width  # as an unfactorised table calls them
        self.table = nn.Embedding(vocabulary, size)
        self.up = EmbeddingMap(size, width, bias=False)

    @property
    def weight(self) -> Tensor:
        """v [V, E]."""
        return self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.up(self.table(tokens))
        return embedded

    def down(self, hidden: Tensor) -> Tensor:
        """Compute U^T h, [.., D] -> [.., E], whose product with v is the logits of a tied head."""
        return F.linear(hidden, self.up.weight.t())


class EmbeddingMap(Linear):
    """U, a part of the embedding to an optimiser: its fan-in E does not grow with the width."""

    role: Role = "embedding"


def build_embedding(vocabulary: int, width: int, size: int | None) -> nn.Embedding | FactorisedEmbedding:
    """Build the table of a model of this width; `size` is E, None: not factorised."""
    return nn.Embedding(vocabulary, width) if size is None else FactorisedEmbedding(vocabulary, size, width)


class Multiplier(nn.Module):
    """y = c x, a constant factor of muP (`nn/init.py`), 1 unless the initialisation sets another.

    `place` is before the head or at the queries of attention, `size` the features that the product after it sums over.
    """

    def __init__(self, place: Place, size: int) -> None:
        super().__init__()
        self.place, self.size = place, size
        self.factor = 1.0

    def set_factor(self, factor: float) -> None:
        """Set c, as the initialisation asks."""
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x if self.factor == 1.0 else x * self.factor


class ParameterInfo(NamedTuple):
    """A parameter of a model, with its role for optimisers and reports."""

    name: str
    tensor: nn.Parameter
    role: Role
    parts: tuple[int, ...]  # heights of the fused matrices; empty unless the role is matrix
    lr_scale: float = 1.0  # factor on Adam's learning rate


def role_of_matrix(module: nn.Module) -> Role | None:
    """Find the role of the matrices that `module` owns directly, None if it owns none: `module.role` where stated, else by its type."""
    if all(tensor.ndim < 2 for tensor in module.parameters(recurse=False)):
        return None
    if isinstance(module, nn.Embedding):
        return "embedding"
    stated: Role = getattr(module, "role", "matrix")
    return stated


def parameters_by_role(model: nn.Module) -> Iterator[ParameterInfo]:
    """Yield every parameter once, in the order of the module tree; a tied weight appears where it is first owned."""
    seen: set[int] = set()
    for path, module in model.named_modules():
        for name, tensor in module.named_parameters(recurse=False):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                role = (role_of_matrix(module) if tensor.ndim > 1 else None) or "vector"
                parts = getattr(module, "parts", (tensor.shape[0],)) if role == "matrix" else ()
                rate = getattr(module, "lr_scale", 1.0) if role == "matrix" else 1.0
                yield ParameterInfo(f"{path}.{name}" if path else name, tensor, role, parts, rate)
