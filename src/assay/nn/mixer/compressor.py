"""Functions that make S / c slots of a segment of S rows (Rae et al., arXiv 1911.05507, section 3.1), for `compressive.py`.

Each slot is made of c rows of one segment: `mean` and `max` of each feature, or a `convolution`, W_c [D, c D] on the c rows side by side,
all of c neighbours (kernel and stride c). The rows of a `dilated_convolution` lie S / c apart, slot j being made of rows j, j + S / c, ..
(from memory, the paper names such convolutions and gives neither kernel nor dilation; so chosen, each row enters one slot and none has to
be invented). A slot stands where the last of its rows does.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.nn.linear import Linear
from assay.nn.mixer.softmax_attention import concatenate_positions

CompressionFunction = Literal["mean", "max", "convolution", "dilated_convolution", "most_used"]


class Slots(NamedTuple):
    """Compressed rows and their positions."""

    x: Tensor  # [B, Q, D]
    position: Tensor  # [1 or B, Q]

    def join(self, new: "Slots") -> "Slots":
        """These slots with newer ones behind them, which come without a graph."""
        return Slots(torch.cat([self.x, new.x.detach()], dim=1), concatenate_positions([self.position, new.position]))

    def slice(self, begin: int, end: int) -> "Slots":
        """Some of the slots."""
        return Slots(self.x[:, begin:end], self.position[:, begin:end])


class Compressor(nn.Module):
    """[B, E S, D], the rows of E segments, -> their E S / c slots."""

    def __init__(self, function: CompressionFunction, segment: int, rate: int) -> None:
        super().__init__()
        self.function, self.rate, self.slots = function, rate, segment // rate

    def forward(self, x: Tensor, position: Tensor) -> Slots:
        return Slots(self.combine_rows(self.group_rows(x)), self.group_rows(position.unsqueeze(-1))[..., -1, 0])

    def group_rows(self, x: Tensor) -> Tensor:
        """[B, E S, D] -> [B, E S / c, c, D]: the rows of each slot."""
        B, rows, D = x.shape  # noqa: N806
        if self.function != "dilated_convolution":
            return x.view(B, rows // self.rate, self.rate, D)
        return x.view(B, rows // (self.rate * self.slots), self.rate, self.slots, D).transpose(2, 3).flatten(1, 2)

    def combine_rows(self, x: Tensor) -> Tensor:
        """[B, Q, c, D] -> [B, Q, D]."""
        return x.mean(2) if self.function == "mean" else x.amax(2)

    def slot_index(self, place: int) -> int:
        """Which slot of its segment the row at `place` of the segment enters."""
        return place % self.slots if self.function == "dilated_convolution" else place // self.rate


class ConvolutionCompressor(Compressor):
    """W_c [x_1; ..; x_c] + b."""

    def __init__(self, function: CompressionFunction, segment: int, rate: int, width: int, bias: bool) -> None:
        super().__init__(function, segment, rate)
        self.map = Linear(rate * width, width, bias=bias)

    def combine_rows(self, x: Tensor) -> Tensor:
        slots: Tensor = self.map(x.flatten(2))
        return slots


def select_most_used(x: Tensor, position: Tensor, usage: Tensor, slots: int) -> Slots:
    """The `slots` rows of x [B, S, D] with the largest usage [B, S], in the order in which they stand."""
    kept = usage.topk(slots, dim=1).indices.sort(dim=1).values  # [B, slots]
    chosen = x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
    return Slots(chosen, position.expand(len(x), -1).gather(1, kept))
