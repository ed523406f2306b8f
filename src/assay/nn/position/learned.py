"""Learned absolute positions: x_t = e(token_t) + p_t (GPT-2; Radford et al. 2019)."""

from typing import ClassVar, Literal

from torch import Tensor, nn

from assay.core.config import setting
from assay.nn.position.base import Position, PositionConfig, Sizes


class LearnedConfig(PositionConfig):
    """A table of one vector a position, added to the embedded tokens. A text longer than the table is refused, never clamped."""

    kind: Literal["learned"] = "learned"
    length: int = setting(1024, "positions in the table: the longest text the model can read", other=96, bites="cost", ge=1)

    def build(self, sizes: Sizes) -> Position:
        return Learned(sizes.width, self.length)


class Learned(Position):
    """p_t for t < length, [length, D]."""

    enters: ClassVar[frozenset[str]] = frozenset({"embed"})

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.reach = length
        self.table = nn.Embedding(length, width)

    def embed(self, position: Tensor) -> Tensor:
        embedded: Tensor = self.table(position)
        return embedded
