"""Interface of mixers, the part of a block in which positions exchange information, and what every layer gets and gives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import Config
from assay.core.types import Mean, State
from assay.errors import ConfigError
from assay.nn.position.base import PositionalEncoding, PositionMethod, Rotation


class AuxOutputs(NamedTuple):
    """The outputs of a layer besides y: losses by name (they may enter the total), statistics (they never do), and values."""

    losses: Mapping[str, Mean]
    stats: Mapping[str, Mean]
    value: Tensor | None = None  # [B, H_k, T, K] of this layer, for later ones that mix in those of the first


NO_AUX_OUTPUTS = AuxOutputs({}, {})


@dataclass(frozen=True, slots=True)
class LayerInputs:
    """What every layer reads beside x: the T positions of this call, and what earlier layers offer. The model makes it once a call."""

    stream_position: int  # position of the first token in its stream, common to all rows: segment boundaries come from it
    position: Tensor  # [1 or B, T] position in the text; restarts at each document where documents are masked
    document: Tensor | None  # [B, T] running number of the document; None: documents are not masked
    positional_encoding: PositionalEncoding  # how positions enter
    rotation: Rotation | None = None  # how queries and keys are rotated; None: they are not
    embedding: Tensor | None = None  # [B, T, D] x0, for layers that mix it in again
    first_value: Tensor | None = None  # [B, H_k, T, K] of the first layer that offers its values

    def with_embedding(self, embedding: Tensor) -> "LayerInputs":
        """Replace the embedded tokens."""
        return replace(self, embedding=embedding)

    def with_first_value(self, value: Tensor | None) -> "LayerInputs":
        """Add the values of a layer, unless those of an earlier one are there."""
        return self if value is None or self.first_value is not None else replace(self, first_value=value)

    def slice_positions(self, begin: int, end: int) -> "LayerInputs":
        """Return the inputs of the positions from `begin` to `end` of the call."""
        document, embedding = (None if x is None else x[:, begin:end] for x in (self.document, self.embedding))
        return LayerInputs(
            self.stream_position + begin, self.position[:, begin:end], document, self.positional_encoding,
            None if self.rotation is None else self.rotation.slice_positions(begin, end), embedding,
            None if self.first_value is None else self.first_value[:, :, begin:end],
        )  # fmt: skip


class Mixer(nn.Module):
    """y, state', aux = mixer(x, state, inputs) with x and y [B, T, D].

    A mixer obeys split invariance: feeding a text in any pieces, each with the state that the last one returned, gives the outputs of
    feeding it whole. A state is never changed in place. `state=None` starts at position 0 and keeps nothing.
    """

    position_methods: ClassVar[frozenset[PositionMethod]] = frozenset({"embed", "block_input"})  # ways in which a position may enter
    masks_documents: ClassVar[bool] = True  # whether documents inside a row can be isolated
    bounded_state: ClassVar[bool] = False  # whether the state stops growing
    shift_invariant: ClassVar[bool] = False  # whether what it computes depends on distances alone, not on positions
    aux_loss_weights: ClassVar[Mapping[str, float]] = {}  # names of the losses in AuxOutputs, and their weights where none are set
    property_exemptions: ClassVar[Mapping[str, str]] = {}  # property of the suite that cannot hold -> reason

    @property
    def reach(self) -> int | None:
        """How many positions back an output can depend on inputs through this layer, at most; None: all of them."""
        return None

    def last_dependent_position(self, position: int) -> int | None:
        """Find the last position whose output depends on the input at `position`; None: none. Segments make it nearer than the reach."""
        return None if self.reach is None else position + self.reach

    def unused_at_length(self, length: int) -> str | None:
        """Say which part of it does nothing in rows of so many positions that begin without a past; None: all of it is used."""
        return None

    def init_state(self, batch: int, like: Tensor) -> State:
        """Make the state before position 0, on the device and in the type of `like`."""
        raise TypeError(f"{type(self).__name__} does not define init_state")

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        """Mix the positions of x."""
        raise TypeError(f"{type(self).__name__} does not define forward")


class MixerConfig(Config, family="mixer", package="assay.nn.mixer"):
    """The part of a block in which positions exchange information."""

    def size_of_head(self, width: int) -> int | None:
        """Return the features a head in a model of this width, which rotary positions need; None: there are no heads."""
        return None

    def check(self, width: int) -> None:
        """Raise ConfigError where the settings cannot hold together in a model of this width."""

    def number_of_heads(self) -> int | None:
        """Return H, which relative positions need; None: there are no heads."""
        return None

    def build(self, width: int, layer: int = 0) -> Mixer:
        """Build the module for a residual stream of size `width`; `layer`, from 0, is for kinds that are not the same in every layer."""
        raise TypeError(f"{type(self).__name__} does not define build")


def empty(like: Tensor, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
    """Make a tensor of a shape with a 0, for a state that holds nothing yet."""
    return torch.empty(shape, dtype=dtype or like.dtype, device=like.device)


def check_heads_divide_width(heads: int, head_size: int | None, width: int) -> None:
    """Raise ConfigError where heads without a size of their own cannot share the width equally."""
    if head_size is None and width % heads:
        raise ConfigError("heads", f"{heads} heads do not divide the width {width}; choose another number or set head_size")
