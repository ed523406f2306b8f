"""An LSTM in the place of attention (`nn/cell/lstm.py`; what is around the cell is in `recurrence.py`)."""

from typing import Literal

from assay.nn.cell.lstm import LstmSettings
from assay.nn.mixer.recurrence import RecurrenceConfig


class LstmMixerConfig(LstmSettings, RecurrenceConfig):
    """A recurrence over the whole past in a state of constant size."""

    kind: Literal["lstm"] = "lstm"
