"""An LSTM in the place of attention: y = W_o h, h the outputs of the cell over the row (`nn/cell/lstm.py`).

What differs from a stack of LSTMs is the block around it: norm, residual and feed-forward are those of the decoder.
"""

from typing import ClassVar, Literal

from torch import Tensor

from assay.core.config import setting
from assay.core.types import State
from assay.nn.cell.lstm import Lstm, LstmState
from assay.nn.linear import Linear
from assay.nn.mixer.base import NOTHING, Documents, Extras, Mixer, MixerConfig, Where


class LstmMixerConfig(MixerConfig):
    """A recurrence over the whole past in a state of constant size."""

    kind: Literal["lstm"] = "lstm"
    hidden: int | None = setting(None, "size of the cell H (absent: the width)", other=24, bites="cost", ge=1)
    forget_bias: float = setting(1.0, "added to the forget gate's logit", other=0.0, bites="training")
    bias: bool = setting(True, "a bias in the output map", other=False, bites="cost")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return LstmMixer(self, width)


class LstmMixer(Mixer):
    """y = W_o LSTM(x), W_o [D, H]. A row is one stream: the recurrence does not stop at documents inside it."""

    documents: ClassVar[Documents] = "whole_rows"
    bounded: ClassVar[bool] = True

    def __init__(self, config: LstmMixerConfig, width: int) -> None:
        super().__init__()
        hidden = config.hidden or width
        self.cell = Lstm(width, hidden, config.forget_bias)
        self.output = Linear(hidden, width, bias=config.bias, residual=True)

    def init_state(self, batch: int, like: Tensor) -> LstmState:
        return self.cell.init_state(batch, like)

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        y, state = self.cell(x, state)
        return self.output(y), state, NOTHING
