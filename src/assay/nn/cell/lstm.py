"""Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000).

i, f, o = sigmoid(W_i, W_f, W_o [x; h] + b), j = tanh(W_j [x; h] + b_j), c <- f * c + i * j, h <- o * tanh(c). A constant is added to the
forget gate's logit (1 after Jozefowicz et al. 2015), so that a cell begins by remembering. torch runs the recurrence in one call.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from assay.core.config import setting
from assay.nn.cell.base import Cell, CellConfig
from assay.nn.linear import Linear

GATES = 4  # in torch's order: input, forget, candidate, output


class LstmConfig(CellConfig):
    """The plain LSTM, no peepholes."""

    kind: Literal["lstm"] = "lstm"
    forget_bias: float = setting(1.0, "added to the forget gate's logit", other=0.0)

    def build(self, width_in: int, hidden: int) -> Cell:
        return Lstm(width_in, hidden, self.forget_bias)


class LstmState(NamedTuple):
    """What an LSTM carries."""

    hidden: Tensor  # [B, H]
    cell: Tensor  # [B, H]


class Lstm(Cell):
    """W [4H, D_in] and U [4H, H], one matrix a gate in the order input, forget, candidate, output."""

    def __init__(self, width_in: int, hidden: int, forget_bias: float) -> None:
        super().__init__()
        self.hidden, self.forget_bias = hidden, forget_bias
        self.input = Linear(width_in, GATES * hidden, bias=True, parts=(hidden,) * GATES)
        self.recurrent = Linear(hidden, GATES * hidden, bias=False, parts=(hidden,) * GATES)

    def init_state(self, batch: int, like: Tensor) -> LstmState:
        return LstmState(like.new_zeros(batch, self.hidden), like.new_zeros(batch, self.hidden))

    def forward(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState | None]:
        before = state or self.init_state(x.shape[0], x)
        bias = self.input.bias
        remember = torch.zeros_like(bias)
        remember[self.hidden : 2 * self.hidden] = self.forget_bias
        weights = [self.input.weight, self.recurrent.weight, bias, remember]
        start = [leaf.unsqueeze(0).to(x.dtype) for leaf in before]  # torch counts layers first
        y, hidden, cell = torch.lstm(x, start, weights, True, 1, 0.0, self.training, False, True)
        return y, None if state is None else LstmState(*(leaf[0].to(old.dtype) for leaf, old in zip((hidden, cell), state, strict=True)))
