"""A model that predicts one token of every lane at a time, by the same arithmetic for whoever asks.

Encoder and decoder must see the same numbers to the last bit. So both ask here: the same calls with the same shapes, float64, one
thread, on the CPU.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from assay.compression.lanes import Lanes
from assay.compression.probability import Ints, counts
from assay.core.types import State
from assay.models.base import Model


class Predictor:
    """Call `next` for the counts of what comes next, then `read` with what came, and so on to the end of the lanes."""

    def __init__(self, model: Model, lanes: Lanes, end: int) -> None:
        self.model = copy.deepcopy(model).to("cpu", torch.float64).eval()
        self.lanes, self.end, self.time = lanes, end, 0
        self.state: State = None
        self.stream = torch.full((lanes.count, lanes.lane + 1), end)  # [L, 1 + lane]: the end token, then what was read
        self.document = torch.zeros_like(self.stream)  # of the target after each token

    @torch.inference_mode()
    def next(self) -> Ints:
        """The counts [L, V] of the token at this place in every lane, also in lanes that have ended."""
        begin = self.lanes.begin(self.time)
        if begin is None:
            begin = self.time
        else:
            self.state = self.model.init_state(self.lanes.count)
        rows = self.stream[:, begin : self.time + 1]
        output = self.model(rows, self.state, self.document[:, begin : self.time + 1] if self.lanes.mask else None)
        self.state = output.state
        first = output.predictions[0]
        return counts(first.readout(first.hidden[:, -1]).numpy())

    def read(self, tokens: Ints) -> None:
        """Go on to the next place, knowing the token of every active lane."""
        self.time += 1
        self.stream[: len(tokens), self.time] = torch.from_numpy(tokens)
        self.document[:, self.time] = self.document[:, self.time - 1] + (self.stream[:, self.time] == self.end)


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, however many threads the environment asks for."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
