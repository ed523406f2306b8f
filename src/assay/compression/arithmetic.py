"""Arithmetic coding with a model: tokens in about sum -log2 p bits, and back.

The range coder is constriction's (Bamler, arXiv 2201.01741), 32-bit words and probabilities of 24 bits. It is given integers whose sum
leaves it nothing to round, so that the bits counted here are those that it spends, up to one last word.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from assay.compression import probability
from assay.compression.probability import Ints
from assay.compression.streams import StreamLayout
from assay.core.install import write_assay_line
from assay.core.types import State
from assay.errors import UserError
from assay.models.base import Model

ProgressCallback = Callable[[int, int], None]  # gets how many tokens are done, and of how many


class EncodedTokens(NamedTuple):
    """A text in the coder's words."""

    payload: bytes
    bits: float  # by the model's probabilities
    ranks: Ints  # [N] of the true tokens among the model's predictions


def encode(model: Model, tokens: Ints, layout: StreamLayout, end: int, report: ProgressCallback | None = None) -> EncodedTokens:
    """Encode tokens [N]; `end` is the end token."""
    stream = _import_coder()
    coder, family = stream.queue.RangeEncoder(), stream.model.Categorical(perfect=False)
    predictor, bits, done, ranks = Predictor(model, layout, end), 0.0, 0, []
    with use_one_thread():
        for time in range(layout.steps):
            column = tokens[time :: layout.stream_length][: layout.active_count(time)]
            count = predictor.predict_counts()[: len(column)]
            coder.encode(column.astype(np.int32), family, _shares(count))
            bits += probability.total_bits(np.take_along_axis(count, column[:, None], -1))
            ranks.append(probability.token_ranks(count, column))
            predictor.advance(column)
            done += len(column)
            if report is not None:
                report(done, layout.tokens)
    return EncodedTokens(coder.get_compressed().astype("<u4").tobytes(), bits, _in_text_order(ranks, layout))


def decode(model: Model, payload: bytes, layout: StreamLayout, end: int, report: ProgressCallback | None = None) -> Ints:
    """Decode the tokens [N] that `encode` was given."""
    stream = _import_coder()
    coder, family = stream.queue.RangeDecoder(np.frombuffer(payload, "<u4").astype(np.uint32)), stream.model.Categorical(perfect=False)
    predictor, done, columns = Predictor(model, layout, end), 0, []
    with use_one_thread():
        for time in range(layout.steps):
            count = predictor.predict_counts()[: layout.active_count(time)]
            columns.append(coder.decode(family, _shares(count)).astype(np.int64))
            predictor.advance(columns[-1])
            done += len(columns[-1])
            if report is not None:
                report(done, layout.tokens)
    return _in_text_order(columns, layout)


class Predictor:
    """A model that predicts the next token of every stream: call `predict_counts`, then `advance` with the tokens, to the end.

    Encoder and decoder must see the same numbers to the last bit, so both use this class: the same calls with the same shapes, float64,
    one thread, on the CPU.
    """

    def __init__(self, model: Model, layout: StreamLayout, end: int) -> None:
        self.model = copy.deepcopy(model).to("cpu", torch.float64).eval()
        self.layout, self.end, self.time = layout, end, 0
        self.state: State = None
        self.tokens = torch.full((layout.count, layout.stream_length + 1), end)  # [L, 1 + length]: the end token, then the tokens so far
        self.documents = torch.zeros_like(self.tokens)  # of the target after each token

    @torch.inference_mode()
    def predict_counts(self) -> Ints:
        """Predict the token at this place of every stream as counts [L, V], also for streams that have ended."""
        begin = self.layout.context_start(self.time)
        if begin is None:
            begin = self.time
        else:
            self.state = self.model.init_state(self.layout.count)
        rows = self.tokens[:, begin : self.time + 1]
        output = self.model(rows, self.state, self.documents[:, begin : self.time + 1] if self.layout.mask else None)
        self.state = output.state
        return probability.quantize_logits(output.readout(output.hidden[:, -1]).numpy())

    def advance(self, tokens: Ints) -> None:
        """Move to the next place, given the token of every active stream."""
        self.time += 1
        self.tokens[: len(tokens), self.time] = torch.from_numpy(tokens)
        self.documents[:, self.time] = self.documents[:, self.time - 1] + (self.tokens[:, self.time] == self.end)


@contextmanager
def use_one_thread() -> Iterator[None]:
    """Compute on one thread inside, so that sums have one order however many threads the environment asks for."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _shares(count: Ints) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Turn counts into constriction's shares: it adds 1 to each itself, and leaves shares with the sum 2^24 - V as they are."""
    return (count - 1).astype(np.float64)


def _in_text_order(columns: list[Ints], layout: StreamLayout) -> Ints:
    """Bring values from the order of coding, place by place [steps][L], into that of the text, stream by stream [N]."""
    values = np.full((layout.steps, layout.count), -1)
    for time, column in enumerate(columns):
        values[time, : len(column)] = column
    flat = values.T.ravel()
    return flat[flat >= 0]


def _import_coder() -> Any:
    """Import constriction's stream coders. Raises UserError where the package is missing."""
    try:
        from constriction import stream  # noqa: PLC0415 (only compression needs it)
    except ImportError:
        raise UserError(f"compressing needs the package constriction; install it with: {write_assay_line('compress')}") from None
    return stream
