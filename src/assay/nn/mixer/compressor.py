"""Functions that make S / c slots of a segment of S rows (Rae et al., arXiv 1911.05507, section 3.1), for `compressive.py`.

Each slot is made of c rows of one segment: `mean` and `max` of each feature, or a `convolution`, W_c [D, c D] on the c rows side by side,
all of c neighbours (kernel and stride c). The rows of a `dilated_convolution` lie S / c apart, slot j being made of rows j, j + S / c, ..
(from memory, the paper names such convolutions and gives neither kernel nor dilation; so chosen, each row enters one slot and none has to
be invented).
A slot stands where the last of its rows does.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.nn.linear import Linear

Function = Literal["mean", "max", "convolution", "dilated_convolution", "most_used"]


class Slots(NamedTuple):
    """Compressed rows and their positions."""

    x: Tensor  # [B, Q, D]
    position: Tensor  # [1 or B, Q]


class Compressor(nn.Module):
    """[B, E S, D], the rows of E segments, -> their E S / c slots."""

    def __init__(self, function: Function, segment: int, rate: int) -> None:
        super().__init__()
        self.function, self.rate, self.slots = function, rate, segment // rate

    def forward(self, x: Tensor, position: Tensor) -> Slots:
        made = self.combined(self.grouped(x))
        return Slots(made, self.grouped(position.unsqueeze(-1))[..., -1, 0])

    def grouped(self, x: Tensor) -> Tensor:
        """[B, E S, D] -> [B, E S / c, c, D]: the rows of each slot."""
        B, rows, D = x.shape  # noqa: N806
        if self.function != "dilated_convolution":
            return x.view(B, rows // self.rate, self.rate, D)
        return x.view(B, rows // (self.rate * self.slots), self.rate, self.slots, D).transpose(2, 3).flatten(1, 2)

    def combined(self, x: Tensor) -> Tensor:
        """[B, Q, c, D] -> [B, Q, D]."""
        return x.mean(2) if self.function == "mean" else x.amax(2)

    def slot_of(self, place: int) -> int:
        """Which slot of its segment the row at `place` of the segment enters."""
        return place % self.slots if self.function == "dilated_convolution" else place // self.rate

    def extra_repr(self) -> str:
        return f"{self.function}, rate={self.rate}, slots={self.slots}"


class Convolution(Compressor):
    """W_c [x_1; ..; x_c] + b."""

    def __init__(self, function: Function, segment: int, rate: int, width: int, bias: bool) -> None:
        super().__init__(function, segment, rate)
        self.map = Linear(rate * width, width, bias=bias)

    def combined(self, x: Tensor) -> Tensor:
        made: Tensor = self.map(x.flatten(2))
        return made


def most_used(x: Tensor, position: Tensor, usage: Tensor, slots: int) -> Slots:
    """The `slots` rows of x [B, S, D] with the largest usage [B, S], in the order in which they stand."""
    kept = usage.topk(slots, dim=1).indices.sort(dim=1).values  # [B, slots]
    chosen = x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
    return Slots(chosen, position.expand(len(x), -1).gather(1, kept))


def appended(slots: Slots, new: Slots) -> Slots:
    """Older slots and new ones behind them, which come without a graph."""
    rows = max(len(slots.position), len(new.position))
    position = torch.cat([part.position.expand(rows, -1) for part in (slots, new)], dim=1)
    return Slots(torch.cat([slots.x, new.x.detach()], dim=1), position)


def part(slots: Slots, begin: int, end: int) -> Slots:
    """Some of the slots."""
    return Slots(slots.x[:, begin:end], slots.position[:, begin:end])
