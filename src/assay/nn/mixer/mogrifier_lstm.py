"""A Mogrifier LSTM in the place of attention (`nn/cell/mogrifier_lstm.py`; what is around the cell is in `recurrence.py`)."""

from typing import Literal

from assay.nn.cell.mogrifier_lstm import MogrifierSettings
from assay.nn.mixer.recurrence import RecurrenceConfig


class MogrifierMixerConfig(MogrifierSettings, RecurrenceConfig):
    """An LSTM whose input and hidden vector gate each other before each step."""

    kind: Literal["mogrifier_lstm"] = "mogrifier_lstm"
