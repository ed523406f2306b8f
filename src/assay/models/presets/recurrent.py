"""Recurrent models: Zaremba's LSTMs, AWD-LSTM and the Mogrifier. Train them with `batches = "streams"`, which carries their state."""

from assay.core.config import preset
from assay.models.base import ModelConfig
from assay.models.readout import HeadConfig
from assay.models.recurrent import LockedDropoutConfig, RecurrentConfig
from assay.nn.cell import LstmConfig, MogrifierConfig


def lstm(width: int, *, depth: int = 2, dropout: float = 0.0) -> RecurrentConfig:
    """The LSTM language model of Zaremba et al. (arXiv 1409.2329, section 4.1): cells as wide as the embedding, untied head with a bias.

    Dropout is theirs: on what enters and leaves the cells, never on what they carry. Theirs has no forget bias and starts uniformly in
    +-0.05 or so; here the cells begin by remembering and weights are scaled by their fan-in.
    """
    return RecurrentConfig(
        width=width,
        hidden=(width,) * (depth - 1),
        head=HeadConfig(tied=False, bias=True),
        embedding_dropout=dropout,
        dropout=dropout,
    )


ModelConfig.add_preset("lstm-tiny", "Two cells of width 128.", lambda: lstm(128))
ModelConfig.add_preset("lstm-small", "Zaremba's small LSTM: two cells of width 200, no dropout.", lambda: lstm(200))
ModelConfig.add_preset("lstm-medium", "Zaremba's medium LSTM: two cells of width 650, dropout 0.5.", lambda: lstm(650, dropout=0.5))
ModelConfig.add_preset("lstm-large", "Zaremba's large LSTM: two cells of width 1,500, dropout 0.65.", lambda: lstm(1500, dropout=0.65))


@preset("awd-lstm")
def awd_lstm() -> ModelConfig:
    """AWD-LSTM of enwik8 (Merity et al., arXiv 1803.08240): cells of 1,840, 1,840 and 400, weight drop and locked dropout.

    The sizes and dropouts are those of the command for enwik8 in the README of salesforce/awd-lstm-lm. There the decay of activations
    (alpha, beta) and the dropout of embedded words are off too. Not theirs: cells begin by remembering and weights by their fan-in, and
    each gate has one bias, where torch's LSTM, which they use, adds two. 47 M as published: 47,253,725 with their 205 tokens, the second
    biases would be 16,320 more.
    """
    return RecurrentConfig(
        width=400,
        hidden=(1840, 1840),
        cell=LstmConfig(weight_drop=0.2),
        locked=LockedDropoutConfig(embedding=0.1, hidden=0.1, output=0.4),
        head=HeadConfig(bias=True),
    )


@preset("mogrifier")
def mogrifier() -> ModelConfig:
    """Mogrifier LSTM of enwik8 with 48 M parameters (Melis et al., arXiv 1909.01792): 4 cells of width 1,160, 6 rounds of rank 79.

    Rounds, rank and dropouts, rounded, are those of the authors' configuration of this size (deepmind/lamb, experiment/mogrifier,
    enwik8_48m_lstm_fm_d4), and so are the head, which is not tied and reads the sum of all cells, the capped input gate and the forget
    bias of 1. No width is given there: theirs is the largest that a budget of 48 M parameters leaves. So is ours, in our count, which may
    differ from theirs by a few features. Weights begin by their fan-in. 47,980,125 with 205 tokens; a width of 1,161 exceeds 48 M.
    """
    return RecurrentConfig(
        width=1160,
        hidden=(1160,) * 3,
        cell=MogrifierConfig(rounds=6, rank=79, state_dropout=0.044),
        skip=True,
        embedding_dropout=0.0155,
        hidden_dropout=0.0086,
        dropout=0.1383,
        head=HeadConfig(tied=False, bias=True),
    )
