"""Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000).

i, f, o = sigmoid(W_i, W_f, W_o [x; h] + b), j = tanh(W_j [x; h] + b_j), c <- f * c + i * j, h <- o * tanh(c). A constant is added to the
forget gate's logit (1 after Jozefowicz et al. 2015), so that a cell begins by remembering. torch runs the recurrence in one call.

Weight drop is dropout of the elements of U, the matrix from hidden to hidden, with one mask a call (DropConnect in AWD-LSTM, Merity et
al., arXiv 1708.02182, section 2). Layer norm is that of Ba et al. (arXiv 1607.06450, section 3.1 and supplement): the gates' logits are
LN(W x) + LN(U h) + b, each norm over all 4H of them with a gain, and h <- o * tanh(LN(c)) with gain and bias. The paper gives the first
two norms biases too; beside b they would change nothing. It takes a loop over time in Python: U h is normalised before it is added.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import Config, setting
from assay.nn.cell.base import CellConfig
from assay.nn.cell.gates import GATES, Gated, LstmState, carried, unrolled, update
from assay.nn.dropout import Dropout


class LstmSettings(Config):
    """The settings of an LSTM, as a cell and in the place of attention."""

    forget_bias: float = setting(1.0, "added to the forget gate's logit", other=0.0)
    weight_drop: float = setting(0.0, "dropout of the matrix from hidden to hidden", other=0.5, bites="training", ge=0, lt=1)
    layer_norm: bool = setting(False, "what both matrices give and the cell are normalised; runs step by step", other=True)

    def cell(self, width_in: int, hidden: int) -> "Lstm":
        """The module with these settings."""
        return (NormedLstm if self.layer_norm else Lstm)(self, width_in, hidden)


class LstmConfig(LstmSettings, CellConfig):
    """The plain LSTM, no peepholes."""

    kind: Literal["lstm"] = "lstm"

    def build(self, width_in: int, hidden: int) -> "Lstm":
        return self.cell(width_in, hidden)


class Lstm(Gated):
    """The recurrence in one call of torch."""

    def __init__(self, settings: LstmSettings, width_in: int, hidden: int) -> None:
        super().__init__(width_in, hidden, settings.forget_bias)
        self.weight_drop = Dropout(settings.weight_drop)

    def forward(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState | None]:
        before = state or self.init_state(x.shape[0], x)
        weights = [self.input.weight, self.weight_drop(self.recurrent.weight), self.input.bias, self.constant()]
        start = [leaf.unsqueeze(0).to(x.dtype) for leaf in before]  # torch counts layers first
        y, hidden, cell = torch.lstm(x, start, weights, True, 1, 0.0, self.training, False, True)
        return y, carried(LstmState(hidden[0], cell[0]), state)


class NormedLstm(Lstm):
    """The recurrence with layer norm, step by step."""

    def __init__(self, settings: LstmSettings, width_in: int, hidden: int) -> None:
        super().__init__(settings, width_in, hidden)
        self.input_norm, self.recurrent_norm = (nn.LayerNorm(GATES * hidden, bias=False) for _ in range(2))
        self.cell_norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState | None]:
        mapped = F.linear(x, self.input.weight)  # [B, T, 4H]
        u = self.weight_drop(self.recurrent.weight).to(mapped.dtype)  # once, not in each step, where autocast is on

        def step(logits: Tensor, before: LstmState) -> LstmState:
            gate, cell = update(logits + self.recurrent_norm(F.linear(before.hidden, u)), before.cell)
            return LstmState(gate * self.cell_norm(cell).tanh(), cell)

        y, after = unrolled(step, self.input_norm(mapped) + (self.input.bias + self.constant()), self.begin(x, state))
        return y, carried(after, state)
