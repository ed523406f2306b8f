"""Arithmetic coding with a model: tokens in about sum -log2 p bits, and back.

The range coder is constriction's (Bamler, arXiv 2201.01741), 32-bit words and probabilities of 24 bits. It is given integers whose sum
leaves it nothing to round, so that the bits counted here are those that it spends, up to one last word.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from assay.compression import probability
from assay.compression.lanes import Lanes
from assay.compression.predictor import Predictor, one_thread
from assay.compression.probability import Ints
from assay.errors import UserError
from assay.models.base import Model

Report = Callable[[int], None]  # is told how many tokens are done


class Encoded(NamedTuple):
    """A text in the coder's words."""

    payload: bytes
    bits: float  # what the model's probabilities say it takes
    ranks: Ints  # [N] of the true tokens among the model's predictions


def encode(model: Model, tokens: Ints, lanes: Lanes, end: int, report: Report) -> Encoded:
    """Code tokens [N]."""
    coder, family = _library().stream.queue.RangeEncoder(), _family()
    predictor, bits, ranks = Predictor(model, lanes, end), 0.0, []
    with one_thread():
        for time in range(lanes.steps):
            column = tokens[time :: lanes.lane][: lanes.active(time)]
            count = predictor.next()[: len(column)]
            coder.encode(column.astype(np.int32), family, _shares(count))
            bits += probability.bits(np.take_along_axis(count, column[:, None], -1))
            ranks.append(probability.ranks(count, column))
            predictor.read(column)
            report(len(column))
    return Encoded(coder.get_compressed().astype("<u4").tobytes(), bits, _in_order(ranks, lanes))


def decode(model: Model, payload: bytes, lanes: Lanes, end: int, report: Report) -> Ints:
    """The tokens [N] that `encode` was given."""
    coder, family = _library().stream.queue.RangeDecoder(np.frombuffer(payload, "<u4").astype(np.uint32)), _family()
    predictor, columns = Predictor(model, lanes, end), []
    with one_thread():
        for time in range(lanes.steps):
            count = predictor.next()[: lanes.active(time)]
            columns.append(coder.decode(family, _shares(count)).astype(np.int64))
            predictor.read(columns[-1])
            report(len(columns[-1]))
    return _in_order(columns, lanes)


def _shares(count: Ints) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """What constriction is given: it adds 1 to each share itself, and shares with the sum 2^24 - V it leaves as they are."""
    return (count - 1).astype(np.float64)


def _in_order(columns: list[Ints], lanes: Lanes) -> Ints:
    """Values that were found place by place [steps][L], lane by lane [N]."""
    values = np.full((lanes.steps, lanes.count), -1)
    for time, column in enumerate(columns):
        values[time, : len(column)] = column
    flat = values.T.ravel()
    return flat[flat >= 0]


def _family() -> Any:
    return _library().stream.model.Categorical(perfect=False)


def _library() -> Any:
    try:
        import constriction  # noqa: PLC0415 (only who compresses needs it)
    except ImportError:
        raise UserError("compressing needs the package constriction; install it with: pip install 'assay[compress]'") from None
    return constriction
