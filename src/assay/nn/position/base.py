"""Interface of positional encodings, by which the order of the tokens enters a model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import Config
from assay.core.devices import to_float64
from assay.errors import ConfigError

PositionMethod = Literal["embed", "block_input", "rotation", "bias", "relative"]


class ModelSizes(NamedTuple):
    """The sizes of the model that a positional encoding is built for."""

    width: int  # D
    depth: int  # layers
    head_sizes: tuple[int, ...] = ()  # the sizes K of the layers' heads, each once
    heads: tuple[int, ...] = ()  # their numbers H, each once


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosine and sine, [1 or B, T, 1, K'/2], by which the first K' features of queries and keys are rotated, for each size K of heads."""

    by_head_size: Mapping[int, tuple[Tensor, Tensor]]

    def slice_positions(self, begin: int, end: int | None = None) -> "Rotation":
        """Return the rotation at some of the positions."""
        return Rotation({size: (cosine[:, begin:end], sine[:, begin:end]) for size, (cosine, sine) in self.by_head_size.items()})

    def to(self, dtype: torch.dtype) -> "Rotation":
        """Convert it to another type."""
        return Rotation({size: (cosine.to(dtype), sine.to(dtype)) for size, (cosine, sine) in self.by_head_size.items()})


def rotate(x: Tensor, rotation: Rotation | None) -> Tensor:
    """Rotate the first K' features of x [B, T, H, K], K'/2 being the last size of cosine and sine."""
    if rotation is None:
        return x
    cosine, sine = rotation.by_head_size[x.shape[-1]]
    half = cosine.shape[-1]
    first, second, rest = x.split((half, half, x.shape[-1] - 2 * half), dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine, rest), dim=-1)


class PositionalEncoding(nn.Module):
    """Positions as a model reads them. A kind names in `methods` the ways in which they enter, and defines the methods of these names.

    Positions count from 0 at the start of a text, or of a document where documents are masked.
    """

    methods: ClassVar[frozenset[PositionMethod]] = frozenset()
    max_length: int | None = None  # the longest text that has positions; None: unlimited

    def embed(self, position: Tensor) -> Tensor:
        """Compute what is added to the embedded tokens, [1 or B, T] -> [1 or B, T, D]."""
        raise TypeError(f"{type(self).__name__} does not define embed")

    def block_input(self, position: Tensor, layer: int) -> Tensor:
        """Compute what is added to the input of a block, [1 or B, T] -> [1 or B, T, D]."""
        raise TypeError(f"{type(self).__name__} does not define block_input")

    def rotation(self, position: Tensor) -> Rotation:
        """Compute the rotation of queries and keys at positions [1 or B, T]."""
        raise TypeError(f"{type(self).__name__} does not define rotation")

    def bias(self, query: Tensor, key: Tensor, heads: int) -> Tensor:
        """Compute what is added to the attention logits, positions [1 or B, T] and [1 or B, S] -> [1 or B, H, T, S]."""
        raise TypeError(f"{type(self).__name__} does not define bias")

    def relative(self, q: Tensor, query: Tensor, key: Tensor, layer: int, longest: int, contiguous: bool = False) -> tuple[Tensor, Tensor]:
        """Compute other queries of queries [B, H, T, K] at [1 or B, T], and a bias [B, H, T, S] of their logits with keys at [1 or B, S].

        The bias is on the scale of logits, that is, divided by sqrt(K). No visible key lies `longest` or more positions before its
        query; what is given for a key that lies after its query does not matter, as a mask hides it. `contiguous` says that every
        visible key j lies i + S - T - j before query i, so that distances need not be looked up.
        """
        raise TypeError(f"{type(self).__name__} does not define relative")


class PositionConfig(Config, family="position", package="assay.nn.position"):
    """Interface of positional encodings, by which the order of the tokens enters a model."""

    def check(self, head_size: int) -> None:
        """Raise ConfigError where the settings do not fit heads of this size."""

    def build(self, sizes: ModelSizes) -> PositionalEncoding:
        """Build the module for a model of these sizes. Raises ConfigError where they do not fit."""
        raise TypeError(f"{type(self).__name__} does not define build")


class NoPositionConfig(PositionConfig):
    """Tokens carry no position; attention can still infer it from how much the causal mask lets it see (Haviv et al., arXiv 2203.16634)."""

    kind: Literal["none"] = "none"

    def build(self, sizes: ModelSizes) -> PositionalEncoding:
        return PositionalEncoding()


def wave_angles(position: Tensor, size: int, base: float) -> Tensor:
    """Compute the angles t base^(-2 m / size) of `size` / 2 waves, [..] -> [.., size / 2], in float64.

    On a device without such numbers they are of one turn, in float32.
    """
    exact = to_float64(position)
    exponent = torch.arange(0, size, 2, device=exact.device, dtype=torch.float64) / size
    angle = exact.unsqueeze(-1) * base**-exponent
    return angle if exact.device == position.device else angle.remainder(math.tau).float().to(position.device)


def explain_missing_queries(sizes: ModelSizes) -> str:
    """Say why a model has no queries, and what to do."""
    if sizes.depth == 0:
        return "model.depth is 0, so there is no mixer; raise it, or set model.position=none"
    return "no mixer of this model has any; choose another position"


def check_even_width(width: int) -> None:
    """Raise ConfigError for a width that sines and cosines cannot share."""
    if width % 2:
        raise ConfigError("", f"pairs sines with cosines, and the width {width} is odd; make it even")
