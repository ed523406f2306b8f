"""What a mixer is: the part of a block in which positions exchange information."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import Config
from assay.core.types import Mean, State
from assay.nn.position.base import Position, Rotation


class Extras(NamedTuple):
    """What a layer gives besides its output: losses by name (they may enter the total), statistics (they never do), and values."""

    losses: Mapping[str, Mean]
    stats: Mapping[str, Mean]
    value: Tensor | None = None  # [B, H_k, T, K] of this layer, for later ones that mix in those of the first


NOTHING = Extras({}, {})


@dataclass(frozen=True, slots=True)
class Where:
    """Where the T positions of this call stand in their texts. Made once by the trunk, read by every layer."""

    stream: int  # position of the first token in its stream, common to all rows: segment boundaries come from it
    position: Tensor  # [1 or B, T] position in the text; restarts at each document where documents are masked
    document: Tensor | None  # [B, T] running number of the document; None: documents are not masked
    encoding: Position  # how positions enter
    rotation: Rotation | None = None  # how queries and keys are rotated; None: they are not
    embedding: Tensor | None = None  # [B, T, D] x0, for the ideas that look back to the first layer
    first_value: Tensor | None = None  # [B, H_k, T, K] of the first layer that gave its values

    def with_embedding(self, embedding: Tensor) -> "Where":
        """The same place with the embedded tokens attached."""
        return replace(self, embedding=embedding)

    def with_value(self, value: Tensor | None) -> "Where":
        """The same place with the values of a layer attached, unless an earlier one gave its own."""
        return self if value is None or self.first_value is not None else replace(self, first_value=value)


Documents = Literal["masked", "whole_rows"]
Accepts = Literal["embed", "block_input", "rotate", "bias", "relative"]


class Mixer(nn.Module):
    """y, state', extras = mixer(x, state, where) with x and y [B, T, D].

    A mixer obeys split invariance: feeding a text in any pieces, each with the state that the last one returned, gives the outputs of
    feeding it whole. A state is never changed in place. `state=None` starts at position 0 and keeps nothing.
    """

    accepts: ClassVar[frozenset[Accepts]] = frozenset({"embed", "block_input"})  # ways in which a position may enter
    documents: ClassVar[Documents] = "masked"  # whether documents inside a row can be isolated
    bounded: ClassVar[bool] = False  # whether the state stops growing
    stationary: ClassVar[bool] = False  # whether it looks alike from every position: what it computes depends on distances alone
    reports: ClassVar[Mapping[str, float]] = {}  # names of the losses in Extras and their weights unless the objective says otherwise
    deviates: ClassVar[Mapping[str, str]] = {}  # property of the suite that cannot hold -> reason

    @property
    def reach(self) -> int | None:
        """How many positions back an output can depend on inputs through this layer, at most; None: all of them."""
        return None

    def last_reader(self, position: int) -> int | None:
        """The last position whose output depends on the input at `position`; None: none. Segments make it nearer than the reach."""
        return None if self.reach is None else position + self.reach

    def idle_in(self, length: int) -> str | None:
        """What of it does nothing in rows of so many positions that begin without a past, in words; None: all of it is used."""
        return None

    def init_state(self, batch: int, like: Tensor) -> State:
        """The state before position 0, on the device and in the type of `like`."""
        raise TypeError(f"{type(self).__name__} does not define init_state")

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        """Mix the positions of x."""
        raise TypeError(f"{type(self).__name__} does not define forward")


class MixerConfig(Config, family="mixer", package="assay.nn.mixer"):
    """The part of a block in which positions exchange information."""

    def size_of_head(self, width: int) -> int | None:
        """Features a head in a model of this width, which rotary positions need; None: there are no heads."""
        return None

    def check(self, width: int) -> None:
        """Raise ConfigError where the settings cannot hold together in a model of this width."""

    def number_of_heads(self) -> int | None:
        """H, which relative positions need; None: there are no heads."""
        return None

    def build(self, width: int, layer: int = 0) -> Mixer:
        """The module for a residual stream of size `width`; `layer`, from 0, is for kinds that are not the same in every layer."""
        raise TypeError(f"{type(self).__name__} does not define build")


def empty(like: Tensor, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor without elements along some axis, for a state that holds nothing yet."""
    return torch.empty(shape, dtype=dtype or like.dtype, device=like.device)
