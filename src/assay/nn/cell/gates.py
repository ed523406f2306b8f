"""What the LSTM and its relatives share: maps to the logits of four gates, what follows from these, the state, the loop over time."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from assay.nn.cell.base import Cell
from assay.nn.linear import Linear

GATES = 4  # in torch's order: input, forget, candidate, output


class LstmState(NamedTuple):
    """What an LSTM carries."""

    hidden: Tensor  # [B, H]
    cell: Tensor  # [B, H]


class Gated(Cell):
    """W [4H, D_in] and U [4H, H], one matrix a gate, a bias, and a constant that is added to the forget gate's logit."""

    def __init__(self, width_in: int, hidden: int, forget_bias: float) -> None:
        super().__init__()
        self.hidden, self.forget_bias = hidden, forget_bias
        self.input = Linear(width_in, GATES * hidden, bias=True, parts=(hidden,) * GATES)
        self.recurrent = Linear(hidden, GATES * hidden, bias=False, parts=(hidden,) * GATES)

    def init_state(self, batch: int, like: Tensor) -> LstmState:
        return LstmState(like.new_zeros(batch, self.hidden), like.new_zeros(batch, self.hidden))

    def constant(self) -> Tensor:
        """[4H]: 0, and the forget bias where it acts."""
        constant = torch.zeros_like(self.input.bias)
        constant[self.hidden : 2 * self.hidden] = self.forget_bias
        return constant

    def begin(self, x: Tensor, state: LstmState | None) -> LstmState:
        """What a loop over x begins with, in the type of the weights: under autocast too what is carried stays in theirs."""
        begun = self.init_state(x.shape[0], x) if state is None else state
        return LstmState(*(leaf.to(self.input.weight.dtype) for leaf in begun))


def carried(after: LstmState, before: LstmState | None) -> LstmState | None:
    """The state to return, in the type of the one that was given; None where none was."""
    return None if before is None else LstmState(*(leaf.to(old.dtype) for leaf, old in zip(after, before, strict=True)))


def update(logits: Tensor, cell: Tensor, capped: bool = False) -> tuple[Tensor, Tensor]:
    """Logits [B, 4H] and c [B, H] -> the output gate and the new c = f * c + i * j. A capped input gate is min(1 - f, i)."""
    i, f, j, o = logits.chunk(GATES, dim=-1)
    i, f = i.sigmoid(), f.sigmoid()
    if capped:
        i = torch.minimum(1 - f, i)
    return o.sigmoid(), f * cell + i * j.tanh()


def unrolled(step: Callable[[Tensor, LstmState], LstmState], x: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
    """The hidden vectors [B, T, H] of a step that is taken for each position of x [B, T, ..], and the last state."""
    outputs = []
    for at in x.unbind(1):
        state = step(at, state)
        outputs.append(state.hidden)
    return torch.stack(outputs, dim=1), state
