"""Rotary positions (Su et al., RoFormer, arXiv 2104.09864).

Features m and m + K'/2 of a query or key at position t form a pair that is rotated by t * base^(-2m/K'), so that q_i . k_j depends on
i - j alone. The pairs are halves apart (as in GPT-NeoX), not adjacent as in LLaMA's own code: the same function up to a permutation of
features, but the weights of the two are not interchangeable.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.errors import ConfigError
from assay.nn.position.base import Position, PositionConfig, Rotation, Sizes


class RopeConfig(PositionConfig):
    """Queries and keys are rotated by angles proportional to their position."""

    kind: Literal["rope"] = "rope"
    base: float = setting(10_000.0, "period of the slowest rotation, divided by 2 pi", other=100.0, gt=1)
    fraction: float = setting(1.0, "share of each head's features that is rotated", other=0.5, gt=0, le=1)

    def check(self, head_size: int) -> None:
        rotated = head_size * self.fraction
        if rotated != int(rotated) or int(rotated) % 2:
            raise ConfigError(
                "fraction",
                f"rotates {rotated:g} of {head_size} features a head; choose it so that this is an even number",
            )

    def build(self, sizes: Sizes) -> Position:
        if not sizes.head_sizes:
            raise ConfigError("", "rotates queries and keys, and no mixer of this model has any; choose another position")
        return Rope(sizes.head_sizes, self.fraction, self.base)


class Rope(Position):
    """Angles t * base^(-2m/K') for m < K'/2, with K' the rotated features."""

    enters: ClassVar[frozenset[str]] = frozenset({"rotate"})

    def __init__(self, head_sizes: tuple[int, ...], fraction: float, base: float) -> None:
        super().__init__()
        self.rotated = {size: int(size * fraction) for size in head_sizes}  # K' by K
        self.base = base

    def angles(self, position: Tensor) -> Rotation:
        of_size = {}
        for size, rotated in self.rotated.items():
            exponent = torch.arange(0, rotated, 2, device=position.device, dtype=torch.float64) / rotated
            angle = position.to(torch.float64).unsqueeze(-1).unsqueeze(-1) * self.base**-exponent  # [1 or B, T, 1, K'/2]
            of_size[size] = angle.cos(), angle.sin()
        return Rotation(of_size)

    def extra_repr(self) -> str:
        return f"rotated={', '.join(map(str, self.rotated.values()))}, base={self.base:g}"


def rotate(x: Tensor, rotation: Rotation | None) -> Tensor:
    """x [B, T, H, K] with its first K' features rotated, K'/2 being the last size of cosine and sine."""
    if rotation is None:
        return x
    cosine, sine = rotation.of_size[x.shape[-1]]
    half = cosine.shape[-1]
    first, second, rest = x.split((half, half, x.shape[-1] - 2 * half), dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine, rest), dim=-1)
