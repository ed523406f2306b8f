"""Functions that make S / c slots of a segment of S rows (Rae et al., arXiv 1911.05507, section 3.1), for `compressive.py`.

Each slot is made of c rows of one segment: `mean` and `max` of each feature, or a `convolution`, W_c [D, c D] on the c rows side by side,
all of c neighbours (kernel and stride c). The rows of a `dilated_convolution` lie S / c apart, slot j being made of rows j, j + S / c, ..
(from memory, the paper names such convolutions and gives neither kernel nor dilation; so chosen, each row enters one slot and none has to
be invented). A slot stands where the last of its rows does.
"""

from typing import Literal

from torch import Tensor, nn

from assay.nn.linear import Linear
from assay.nn.mixer.segments import InputRows

CompressionFunction = Literal["mean", "max", "convolution", "dilated_convolution", "most_used"]


class Compressor(nn.Module):
    """[B, E S, D], the rows of E segments, -> their E S / c slots: means, maxima, or W_c [x_1; ..; x_c] + b."""

    def __init__(self, function: CompressionFunction, segment: int, rate: int, width: int, bias: bool) -> None:
        super().__init__()
        self.function, self.rate, self.slots = function, rate, segment // rate
        self.map = Linear(rate * width, width, bias=bias) if "convolution" in function else None

    def forward(self, rows: InputRows) -> InputRows:
        return InputRows(self.combine_rows(self.group_rows(rows.x)), self.group_rows(rows.position.unsqueeze(-1))[..., -1, 0])

    def group_rows(self, x: Tensor) -> Tensor:
        """Put the rows of each slot together, [B, E S, D] -> [B, E S / c, c, D]."""
        B, rows, D = x.shape  # noqa: N806
        if self.function != "dilated_convolution":
            return x.view(B, rows // self.rate, self.rate, D)
        return x.view(B, rows // (self.rate * self.slots), self.rate, self.slots, D).transpose(2, 3).flatten(1, 2)

    def combine_rows(self, x: Tensor) -> Tensor:
        """Make one row of the rows of each slot, [B, Q, c, D] -> [B, Q, D]."""
        if self.map is None:
            return x.mean(2) if self.function == "mean" else x.amax(2)
        slots: Tensor = self.map(x.flatten(2))
        return slots

    def slot_index(self, place: int) -> int:
        """Find the slot of its segment that the row at `place` of the segment enters."""
        return place % self.slots if self.function == "dilated_convolution" else place // self.rate


def select_most_used(rows: InputRows, usage: Tensor, slots: int) -> InputRows:
    """Select the `slots` rows with the largest usage [B, R], in the order in which they stand."""
    x, position = rows
    kept = usage.topk(slots, dim=1).indices.sort(dim=1).values  # [B, slots]
    chosen = x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
    return InputRows(chosen, position.expand(len(x), -1).gather(1, kept))
