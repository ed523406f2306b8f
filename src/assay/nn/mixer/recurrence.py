"""A cell in the place of attention."""

from typing import ClassVar, Literal

from torch import Tensor

from assay.core.config import setting
from assay.core.types import State
from assay.nn.cell import Cell, LstmSettings, MogrifierSettings
from assay.nn.dropout import LockedDropout
from assay.nn.linear import Linear
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs, LayerInputs, Mixer, MixerConfig


class RecurrenceConfig(MixerConfig):
    """y = W_o h, h the outputs of a cell over the row. A kind says which cell of `nn/cell.py`.

    It differs from a stack of cells in the block around it: norm, residual and feed-forward are those of the decoder. It costs O(T) in a
    state of constant size, one position after the other.
    """

    hidden: int | None = setting(None, "size of the cell H (absent: the width)", alternative=24, affects="cost", ge=1)
    bias: bool = setting(True, "a bias in the output map", alternative=False, affects="cost")
    dropout: float = setting(0.0, "dropout of the cell's outputs, one mask for a row", alternative=0.5, affects="training", ge=0, lt=1)

    def build_cell(self, width_in: int, hidden: int) -> Cell:
        """Build the cell that reads vectors of size `width_in` and gives vectors of size `hidden`."""
        raise TypeError(f"{type(self).__name__} does not define build_cell")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return Recurrence(self, width)


class LstmMixerConfig(LstmSettings, RecurrenceConfig):
    """The cell `lstm` in the place of attention (Gers et al. 2000): a recurrence over the whole past in a state of constant size."""

    kind: Literal["lstm"] = "lstm"


class MogrifierMixerConfig(MogrifierSettings, RecurrenceConfig):
    """The cell `mogrifier_lstm` in the place of attention (Melis et al., arXiv 1909.01792): input and hidden vector gate each other."""

    kind: Literal["mogrifier_lstm"] = "mogrifier_lstm"


class Recurrence(Mixer):
    """y = W_o cell(x), W_o [D, H]. A row is one stream: the recurrence does not stop at documents inside it."""

    masks_documents: ClassVar[bool] = False
    bounded_state: ClassVar[bool] = True

    def __init__(self, config: RecurrenceConfig, width: int) -> None:
        super().__init__()
        hidden = config.hidden or width
        self.cell = config.build_cell(width, hidden)
        self.dropout = LockedDropout(config.dropout)
        self.output = Linear(hidden, width, bias=config.bias, residual=True)

    def init_state(self, batch: int, like: Tensor) -> State:
        return self.cell.init_state(batch, like)

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        y, state = self.cell(x, state)
        return self.output(self.dropout(y)), state, NO_AUX_OUTPUTS
