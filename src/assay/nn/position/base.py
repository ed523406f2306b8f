"""How the order of the tokens enters a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import Config


class Sizes(NamedTuple):
    """What a position has to know of the model it is for."""

    width: int  # D
    depth: int  # layers
    head_sizes: tuple[int, ...] = ()  # the sizes K of the layers' heads, each once
    heads: tuple[int, ...] = ()  # their numbers H, each once


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosine and sine, [1 or B, T, 1, K'/2], by which the first K' features of queries and keys are rotated, for each size K of heads."""

    of_size: Mapping[int, tuple[Tensor, Tensor]]

    def part(self, begin: int, end: int | None = None) -> "Rotation":
        """That of some of the positions."""
        return Rotation({size: (cosine[:, begin:end], sine[:, begin:end]) for size, (cosine, sine) in self.of_size.items()})

    def to(self, dtype: torch.dtype) -> "Rotation":
        """The same in another type."""
        return Rotation({size: (cosine.to(dtype), sine.to(dtype)) for size, (cosine, sine) in self.of_size.items()})


class Position(nn.Module):
    """A way for positions to enter. A kind sets what it uses in `enters` and defines the method of that name.

    Positions count from 0 at the start of a text, or of a document where documents are masked.
    """

    enters: ClassVar[frozenset[str]] = frozenset()  # of: embed, block_input, rotate, bias, relative
    reach: int | None = None  # the longest text that has positions; None: unlimited

    def embed(self, position: Tensor) -> Tensor:
        """[1 or B, T] -> [1 or B, T, D], added to the embedded tokens."""
        raise TypeError(f"{type(self).__name__} does not enter at the embedding")

    def block_input(self, position: Tensor, layer: int) -> Tensor:
        """[1 or B, T] -> [1 or B, T, D], added to the input of a block."""
        raise TypeError(f"{type(self).__name__} does not enter at the blocks")

    def angles(self, position: Tensor) -> Rotation:
        """[1 or B, T] -> how queries and keys are rotated there."""
        raise TypeError(f"{type(self).__name__} does not rotate")

    def bias(self, query: Tensor, key: Tensor, heads: int) -> Tensor:
        """Positions [1 or B, T] and [1 or B, S] -> [1 or B, H, T, S], added to the attention logits."""
        raise TypeError(f"{type(self).__name__} does not bias the attention logits")

    def relative(self, q: Tensor, query: Tensor, key: Tensor, layer: int, longest: int, contiguous: bool = False) -> tuple[Tensor, Tensor]:
        """Queries [B, H, T, K] at positions [1 or B, T], keys at [1 or B, S] -> other queries, and a bias [B, H, T, S] of their logits.

        The bias is on the scale of logits, that is, divided by sqrt(K). No visible key lies `longest` or more positions before its
        query; what is given for a key that lies after its query does not matter, as a mask hides it. `contiguous` says that every
        visible key j lies i + S - T - j before query i, so that distances need not be looked up.
        """
        raise TypeError(f"{type(self).__name__} does not look at queries")


class PositionConfig(Config, family="position", package="assay.nn.position"):
    """How the order of the tokens enters a model."""

    def check(self, head_size: int) -> None:
        """Raise ConfigError where the settings do not fit heads of this size."""

    def build(self, sizes: Sizes) -> Position:
        """The module for a model of these sizes. Raises ConfigError where they do not fit."""
        raise TypeError(f"{type(self).__name__} does not define build")
