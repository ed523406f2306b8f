"""No positions: the causal mask alone tells order (Haviv et al., arXiv 2203.16634)."""

from typing import Literal

from assay.nn.position.base import Position, PositionConfig, Sizes


class NoPositionConfig(PositionConfig):
    """Tokens carry no position; attention can still infer it from how much the mask lets it see."""

    kind: Literal["none"] = "none"

    def build(self, sizes: Sizes) -> Position:
        return Position()
