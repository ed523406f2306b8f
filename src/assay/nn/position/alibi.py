"""Attention with linear biases (Press et al., ALiBi, arXiv 2108.12409): q_i . k_j / sqrt(K) - m_h (i - j).

The slope of head h (from 1) of H is m_h = 2^(-s h / H), s = 8 in the paper. The paper's code takes other slopes where H is no power of
two (those of the next lower power, then every second one of the next higher); here the formula holds for every H, as the paper's text
describes the sequence, so that neighbouring H differ smoothly.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.nn.position.base import Position, PositionConfig, Sizes


class AlibiConfig(PositionConfig):
    """A penalty that grows with the distance, with another slope in each head; any length has positions."""

    kind: Literal["alibi"] = "alibi"
    exponent: float = setting(8.0, "s: the slopes fall from 2^(-s / H) to 2^(-s)", other=2.0, gt=0)

    def build(self, sizes: Sizes) -> Position:
        return Alibi(self.exponent)


class Alibi(Position):
    """-m_h (i - j) for the query at i and the key at j."""

    enters: ClassVar[frozenset[str]] = frozenset({"bias"})

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def bias(self, query: Tensor, key: Tensor, heads: int) -> Tensor:
        slope = 2.0 ** (-self.exponent / heads * torch.arange(1, heads + 1, device=query.device))  # [H]
        distance = query.unsqueeze(-1) - key.unsqueeze(-2)  # [1 or B, T, S]
        return -slope[:, None, None] * distance.unsqueeze(1)

    def extra_repr(self) -> str:
        return f"exponent={self.exponent:g}"
