"""What a cell is: a recurrence over the positions of a row, of a width of its own."""

from torch import Tensor, nn

from assay.core.config import Config
from assay.core.types import State


class Cell(nn.Module):
    """y, state' = cell(x, state) with x [B, T, D_in] and y [B, T, H]; `state=None` starts at position 0.

    A cell obeys split invariance: a text in any pieces, each with the state of the one before, gives the outputs of feeding it whole.
    """

    def init_state(self, batch: int, like: Tensor) -> State:
        """The state before position 0, on the device and in the type of `like`."""
        raise TypeError(f"{type(self).__name__} does not define init_state")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run over the positions of x in order."""
        raise TypeError(f"{type(self).__name__} does not define forward")


class CellConfig(Config, family="cell", package="assay.nn.cell"):
    """A recurrence over the positions of a row."""

    def build(self, width_in: int, hidden: int) -> Cell:
        """The module that reads vectors of size `width_in` and gives vectors of size `hidden`."""
        raise TypeError(f"{type(self).__name__} does not define build")
