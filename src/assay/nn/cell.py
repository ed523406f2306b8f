"""Cells: recurrences over the positions of a row, of a width of their own, in a stack of cells or in the place of attention."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import Config, setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.dropout import Dropout, dropout_mask
from assay.nn.linear import Linear

GATES = 4  # in torch's order: input, forget, candidate, output


class Cell(nn.Module):
    """y, state' = cell(x, state) with x [B, T, D_in] and y [B, T, H]; `state=None` starts at position 0.

    A cell obeys split invariance: a text in any pieces, each with the state of the one before, gives the outputs of feeding it whole.
    """

    def init_state(self, batch: int, like: Tensor) -> State:
        """Make the state before position 0, on the device and in the type of `like`."""
        raise TypeError(f"{type(self).__name__} does not define init_state")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Read the positions of x in order."""
        raise TypeError(f"{type(self).__name__} does not define forward")


class CellConfig(Config, family="cell", package="assay.nn.cell"):
    """A recurrence over the positions of a row."""

    def build(self, width_in: int, hidden: int) -> Cell:
        """Build the module that reads vectors of size `width_in` and gives vectors of size `hidden`."""
        raise TypeError(f"{type(self).__name__} does not define build")


class LstmState(NamedTuple):
    """The state of an LSTM."""

    hidden: Tensor  # [B, H]
    cell: Tensor  # [B, H]


class GatedCell(Cell):
    """W [4H, D_in] and U [4H, H], one matrix a gate, a bias, and a constant that is added to the forget gate's logit."""

    def __init__(self, width_in: int, hidden: int, forget_bias: float) -> None:
        super().__init__()
        self.hidden, self.forget_bias = hidden, forget_bias
        self.input = Linear(width_in, GATES * hidden, bias=True, parts=(hidden,) * GATES)
        self.recurrent = Linear(hidden, GATES * hidden, bias=False, parts=(hidden,) * GATES)

    def init_state(self, batch: int, like: Tensor) -> LstmState:
        return LstmState(like.new_zeros(batch, self.hidden), like.new_zeros(batch, self.hidden))

    def forget_bias_vector(self) -> Tensor:
        """Make a vector [4H] with the forget bias at the forget gate and 0 at the others."""
        vector = torch.zeros_like(self.input.bias)
        vector[self.hidden : 2 * self.hidden] = self.forget_bias
        return vector

    def prepare_state(self, x: Tensor, state: LstmState | None) -> LstmState:
        """Make the state before a loop over x, in the type of the weights, in which it stays under autocast too."""
        before = self.init_state(x.shape[0], x) if state is None else state
        return LstmState(*(leaf.to(self.input.weight.dtype) for leaf in before))


def match_state_dtype(after: LstmState, before: LstmState | None) -> LstmState | None:
    """Convert the state after a call to the type of the state before it; None where there was none."""
    return None if before is None else LstmState(*(leaf.to(old.dtype) for leaf, old in zip(after, before, strict=True)))


def update_cell(logits: Tensor, cell: Tensor, capped: bool = False) -> tuple[Tensor, Tensor]:
    """Compute of logits [B, 4H] and c [B, H] the output gate and the new c = f * c + i * j. A capped input gate is min(1 - f, i)."""
    i, f, j, o = logits.chunk(GATES, dim=-1)
    i, f = i.sigmoid(), f.sigmoid()
    if capped:
        i = torch.minimum(1 - f, i)
    return o.sigmoid(), f * cell + i * j.tanh()


def unroll(step: Callable[[Tensor, LstmState], LstmState], x: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
    """Take a step for each position of x [B, T, ..], and return the hidden vectors [B, T, H] and the last state."""
    outputs = []
    for x_t in x.unbind(1):
        state = step(x_t, state)
        outputs.append(state.hidden)
    return torch.stack(outputs, dim=1), state


class LstmSettings(Config):
    """The settings of an LSTM, as a cell and in the place of attention."""

    forget_bias: float = setting(1.0, "added to the forget gate's logit", alternative=0.0)
    weight_drop: float = setting(0.0, "dropout of the matrix from hidden to hidden", alternative=0.5, affects="training", ge=0, lt=1)
    layer_norm: bool = setting(False, "both products and the cell are normalised; runs step by step", alternative=True)

    def build_cell(self, width_in: int, hidden: int) -> "Lstm":
        """Build the module with these settings."""
        return (LayerNormLstm if self.layer_norm else Lstm)(self, width_in, hidden)


class LstmConfig(LstmSettings, CellConfig):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000), no peepholes.

    i, f, o = sigmoid(W_i, W_f, W_o [x; h] + b), j = tanh(W_j [x; h] + b_j), c <- f * c + i * j, h <- o * tanh(c). A constant is added to
    the forget gate's logit (1 after Jozefowicz et al. 2015), so that a cell begins by remembering. torch runs the recurrence in one call.

    Weight drop is dropout of the elements of U, the matrix from hidden to hidden, with one mask a call (DropConnect in AWD-LSTM, Merity et
    al., arXiv 1708.02182, section 2). Layer norm is that of Ba et al. (arXiv 1607.06450, section 3.1 and supplement): the gates' logits are
    LN(W x) + LN(U h) + b, each norm over all 4H of them with a gain, and h <- o * tanh(LN(c)) with gain and bias. The paper gives the first
    two norms biases too; beside b they would change nothing. It takes a loop over time in Python: U h is normalised before it is added.
    """

    kind: Literal["lstm"] = "lstm"

    def build(self, width_in: int, hidden: int) -> "Lstm":
        return self.build_cell(width_in, hidden)


class Lstm(GatedCell):
    """The recurrence in one call of torch."""

    def __init__(self, settings: LstmSettings, width_in: int, hidden: int) -> None:
        super().__init__(width_in, hidden, settings.forget_bias)
        self.weight_drop = Dropout(settings.weight_drop)

    def forward(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState | None]:
        before = state or self.init_state(x.shape[0], x)
        weights = [self.input.weight, self.weight_drop(self.recurrent.weight), self.input.bias, self.forget_bias_vector()]
        start = [leaf.unsqueeze(0).to(x.dtype) for leaf in before]  # torch counts layers first
        y, hidden, cell = torch.lstm(x, start, weights, True, 1, 0.0, self.training, False, True)
        return y, match_state_dtype(LstmState(hidden[0], cell[0]), state)


class LayerNormLstm(Lstm):
    """The recurrence with layer norm, step by step."""

    def __init__(self, settings: LstmSettings, width_in: int, hidden: int) -> None:
        super().__init__(settings, width_in, hidden)
        self.input_norm, self.recurrent_norm = (nn.LayerNorm(GATES * hidden, bias=False) for _ in range(2))
        self.cell_norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState | None]:
        mapped = F.linear(x, self.input.weight)  # [B, T, 4H]
        u = self.weight_drop(self.recurrent.weight).to(mapped.dtype)  # once, not in each step, where autocast is on

        def step(logits: Tensor, before: LstmState) -> LstmState:
            gate, cell = update_cell(logits + self.recurrent_norm(F.linear(before.hidden, u)), before.cell)
            return LstmState(gate * self.cell_norm(cell).tanh(), cell)

        y, after = unroll(step, self.input_norm(mapped) + (self.input.bias + self.forget_bias_vector()), self.prepare_state(x, state))
        return y, match_state_dtype(after, state)


class MogrifierSettings(Config):
    """The settings of a Mogrifier LSTM, as a cell and in the place of attention."""

    rounds: int = setting(5, "rounds R in which input and hidden vector gate each other", alternative=2, ge=0, le=1000)
    rank: int | None = setting(None, "rank of the matrices of a round (absent: full)", alternative=3, ge=1)
    capped: bool = setting(True, "the input gate is at most 1 - f", alternative=False)
    forget_bias: float = setting(1.0, "added to the forget gate's logit", alternative=0.0)
    state_dropout: float = setting(
        0.0, "dropout of the h that enters a step, one mask a call", alternative=0.5, affects="training", ge=0, lt=1
    )

    tiny: ClassVar[dict[str, Any]] = {"rounds": 3}

    def model_post_init(self, context: Any) -> None:
        if self.rank is not None and self.rounds == 0:
            raise ConfigError("rank", "is that of the matrices of a round, and there are none with rounds = 0; leave it out")

    def build_cell(self, width_in: int, hidden: int) -> "Mogrifier":
        """Build the module with these settings."""
        return Mogrifier(self, width_in, hidden)


class MogrifierConfig(MogrifierSettings, CellConfig):
    """The Mogrifier LSTM (Melis et al., arXiv 1909.01792, section 2): before each step input and hidden vector gate each other in turn.

    For r = 1, 2, .., R: in odd rounds x <- 2 sigmoid(Q_r h + b_r) * x, in even ones h <- 2 sigmoid(R_r x + b_r) * h; then a step of the
    LSTM with these x and h. Every round has matrices of its own, full or of low rank, R_r = A_r B_r. With R = 0 it is the plain LSTM, and
    so it is with Q = R = 0, as 2 sigmoid(0) = 1.

    As in the authors' code (lamb), and unlike in their equations: b_r is there, the input gate is capped, min(1 - f, i), so that |c| <= 1,
    and state dropout multiplies the h that enters a step by one mask for the whole call; the h that leaves it is carried without.

    Time goes in a loop in Python: a step is two products and ten operations on vectors, and a round one product (two of low rank) and three
    operations. W x can be computed for all steps at once only where R = 0, as h changes x.
    """

    kind: Literal["mogrifier_lstm"] = "mogrifier_lstm"

    def build(self, width_in: int, hidden: int) -> "Mogrifier":
        return self.build_cell(width_in, hidden)


class Mogrifier(GatedCell):
    """The weights of an LSTM, and the maps of the rounds: from h to x in odd ones, from x to h in even ones."""

    def __init__(self, settings: MogrifierSettings, width_in: int, hidden: int) -> None:
        super().__init__(width_in, hidden, settings.forget_bias)
        self.capped, self.state_dropout = settings.capped, settings.state_dropout
        ways = ((hidden, width_in), (width_in, hidden))
        self.rounds = nn.ModuleList(_map(*ways[index % 2], settings.rank) for index in range(settings.rounds))

    def forward(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState | None]:
        before, w, bias = self.prepare_state(x, state), self.input.weight, self.input.bias + self.forget_bias_vector()
        keep = dropout_mask(before.hidden, self.state_dropout) if self.training and self.state_dropout > 0 else None

        def step(x: Tensor, before: LstmState) -> LstmState:
            h = before.hidden if keep is None else before.hidden * keep
            if self.rounds:
                x, h = self.mogrify(x, h)
                x = F.linear(x, w, bias)
            gate, cell = update_cell(torch.addmm(x, h, self.recurrent.weight.t()), before.cell, self.capped)
            return LstmState(gate * cell.tanh(), cell)

        y, after = unroll(step, x if self.rounds else F.linear(x, w, bias), before)
        return y, match_state_dtype(after, state)

    def mogrify(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Gate x [B, D_in] and h [B, H] in all rounds."""
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
