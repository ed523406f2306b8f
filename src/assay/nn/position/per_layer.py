"""Learned positions at every layer (Al-Rfou et al., arXiv 1808.04444, section 3.1): x_l = block_l(x_{l-1} + p_{l,t}).

A deep stack loses track of positions that enter only at the embedding, the paper says; each layer has a table of its own here, the first
one included.
"""

from typing import ClassVar, Literal

from torch import Tensor, nn

from assay.core.config import setting
from assay.nn.position.base import Position, PositionConfig, Sizes


class PerLayerConfig(PositionConfig):
    """A table of one vector a position for each layer, added to its input. A text longer than the table is refused, never clamped."""

    kind: Literal["per_layer"] = "per_layer"
    length: int = setting(512, "positions in each table: the longest text the model can read", other=96, bites="cost", ge=1)

    def build(self, sizes: Sizes) -> Position:
        return PerLayer(sizes.width, sizes.depth, self.length)


class PerLayer(Position):
    """p_{l,t} for l < L and t < length, [L length, D]."""

    enters: ClassVar[frozenset[str]] = frozenset({"block_input"})

    def __init__(self, width: int, depth: int, length: int) -> None:
        super().__init__()
        self.reach = self.length = length
        self.table = nn.Embedding(max(1, depth) * length, width)

    def block_input(self, position: Tensor, layer: int) -> Tensor:
        embedded: Tensor = self.table(position + layer * self.length)
        return embedded
