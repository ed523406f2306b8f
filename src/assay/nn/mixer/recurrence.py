"""A cell in the place of attention: y = W_o h, h the outputs of the cell over the row (`nn/cell`). A kind says which cell.

What differs from a stack of cells is the block around it: norm, residual and feed-forward are those of the decoder. It costs O(T) in a
state of constant size, one position after the other.
"""

from typing import ClassVar

from torch import Tensor

from assay.core.config import setting
from assay.core.types import State
from assay.nn.cell.base import Cell
from assay.nn.dropout import LockedDropout
from assay.nn.linear import Linear
from assay.nn.mixer.base import NOTHING, Documents, Extras, Mixer, MixerConfig, Where


class RecurrenceConfig(MixerConfig):
    """The settings around the cell."""

    hidden: int | None = setting(None, "size of the cell H (absent: the width)", other=24, bites="cost", ge=1)
    bias: bool = setting(True, "a bias in the output map", other=False, bites="cost")
    dropout: float = setting(
        0.0, "dropout of what the cell gives, with one mask for all positions of a row", other=0.5, bites="training", ge=0, lt=1
    )

    def cell(self, width_in: int, hidden: int) -> Cell:
        """The cell that reads vectors of size `width_in` and gives vectors of size `hidden`."""
        raise TypeError(f"{type(self).__name__} does not define cell")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return Recurrence(self, width)


class Recurrence(Mixer):
    """y = W_o cell(x), W_o [D, H]. A row is one stream: the recurrence does not stop at documents inside it."""

    documents: ClassVar[Documents] = "whole_rows"
    bounded: ClassVar[bool] = True

    def __init__(self, config: RecurrenceConfig, width: int) -> None:
        super().__init__()
        hidden = config.hidden or width
        self.cell = config.cell(width, hidden)
        self.dropout = LockedDropout(config.dropout)
        self.output = Linear(hidden, width, bias=config.bias, residual=True)

    def init_state(self, batch: int, like: Tensor) -> State:
        return self.cell.init_state(batch, like)

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        y, state = self.cell(x, state)
        return self.output(self.dropout(y)), state, NOTHING
