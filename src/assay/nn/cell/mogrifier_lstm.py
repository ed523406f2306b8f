"""The Mogrifier LSTM (Melis et al., arXiv 1909.01792, section 2): before each step input and hidden vector gate each other in turn.

For r = 1, 2, .., R: in odd rounds x <- 2 sigmoid(Q_r h + b_r) * x, in even ones h <- 2 sigmoid(R_r x + b_r) * h; then a step of the LSTM
with these x and h. Every round has matrices of its own, full or of low rank, R_r = A_r B_r. With R = 0 it is the LSTM of `lstm.py`, and
so it is with Q = R = 0, as 2 sigmoid(0) = 1.

As in the authors' code (lamb), and unlike in their equations: b_r is there, the input gate is capped, min(1 - f, i), so that |c| <= 1, and
state dropout multiplies the h that enters a step by one mask for the whole call; the h that leaves it is carried without.

Time goes in a loop in Python: a step is two products and ten operations on vectors, and a round one product (two of low rank) and three
operations. W x can be computed for all steps at once only where R = 0, as h changes x.
"""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import Config, setting
from assay.errors import ConfigError
from assay.nn.cell.base import CellConfig
from assay.nn.cell.gates import Gated, LstmState, carried, unrolled, update
from assay.nn.dropout import drop_mask
from assay.nn.linear import Linear


class MogrifierSettings(Config):
    """The settings of a Mogrifier LSTM, as a cell and in the place of attention."""

    rounds: int = setting(5, "rounds R in which input and hidden vector gate each other", other=2, ge=0)
    rank: int | None = setting(None, "rank of the matrices of a round (absent: full)", other=3, ge=1)
    capped: bool = setting(True, "the input gate is at most 1 - f", other=False)
    forget_bias: float = setting(1.0, "added to the forget gate's logit", other=0.0)
    state_dropout: float = setting(
        0.0, "dropout of the hidden vector that enters a step, with one mask a call", other=0.5, bites="training", ge=0, lt=1
    )

    tiny: ClassVar[dict[str, Any]] = {"rounds": 3}

    def model_post_init(self, context: Any) -> None:
        if self.rank is not None and self.rounds == 0:
            raise ConfigError("rank", "is that of the matrices of a round, and there are none with rounds = 0; leave it out")

    def cell(self, width_in: int, hidden: int) -> "Mogrifier":
        """The module with these settings."""
        return Mogrifier(self, width_in, hidden)


class MogrifierConfig(MogrifierSettings, CellConfig):
    """An LSTM whose input and hidden vector gate each other before each step."""

    kind: Literal["mogrifier_lstm"] = "mogrifier_lstm"

    def build(self, width_in: int, hidden: int) -> "Mogrifier":
        return self.cell(width_in, hidden)


class Mogrifier(Gated):
    """The weights of an LSTM, and the maps of the rounds: from h to x in odd ones, from x to h in even ones."""

    def __init__(self, settings: MogrifierSettings, width_in: int, hidden: int) -> None:
        super().__init__(width_in, hidden, settings.forget_bias)
        self.capped, self.state_dropout = settings.capped, settings.state_dropout
        ways = ((hidden, width_in), (width_in, hidden))
        self.rounds = nn.ModuleList(_map(*ways[index % 2], settings.rank) for index in range(settings.rounds))

    def forward(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState | None]:
        before, w, bias = self.begin(x, state), self.input.weight, self.input.bias + self.constant()
        keep = drop_mask(before.hidden, self.state_dropout) if self.training and self.state_dropout > 0 else None

        def step(x: Tensor, before: LstmState) -> LstmState:
            h = before.hidden if keep is None else before.hidden * keep
            if self.rounds:
                x, h = self.mogrified(x, h)
                x = F.linear(x, w, bias)
            gate, cell = update(torch.addmm(x, h, self.recurrent.weight.t()), before.cell, self.capped)
            return LstmState(gate * cell.tanh(), cell)

        y, after = unrolled(step, x if self.rounds else F.linear(x, w, bias), before)
        return y, carried(after, state)

    def mogrified(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, D_in] and h [B, H] after all rounds."""
        for index, gate in enumerate(self.rounds):
            if index % 2 == 0:
                x = 2 * gate(h).sigmoid() * x
            else:
                h = 2 * gate(x).sigmoid() * h
        return x, h


def _map(width_in: int, width_out: int, rank: int | None) -> nn.Module:
    if rank is None:
        return Linear(width_in, width_out, bias=True)
    return nn.Sequential(Linear(width_in, rank, bias=False), Linear(rank, width_out, bias=True))
