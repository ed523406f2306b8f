"""Windows: in every epoch the documents are shuffled, joined and cut into rows of equal length.

The stream of an epoch is one end token and then every document with its end token, so that the first token is a target
too: N targets, each once. Row i reads `stream[i T : i T + T + 1]`; the last row is padded with weight 0 and the last
batch may have fewer rows, so nothing is dropped. `divmod(step, steps_per_epoch)` is the epoch and the batch in it.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from assay.core.config import digest
from assay.core.seeds import numpy_stream
from assay.data.plan import Plan, PlanConfig, Rows
from assay.errors import DataError
from assay.text.store import Part

Indices = npt.NDArray[np.int64]
EPOCHS_HELD = 2  # orders kept in memory: a step and its neighbour are in at most two epochs


class WindowsConfig(PlanConfig):
    """Shuffled documents, joined and cut."""

    kind: Literal["windows"] = "windows"

    def build(self, part: Part, end: int, seed: int, fingerprint: str) -> Plan:
        """Raises DataError for a part without documents."""
        if part.target_count == 0:
            raise DataError("plan: the part of the split to read is empty; give it a share above 0 in [split]")
        return WindowsPlan(self, part, end, seed, digest([fingerprint, part.sha256, self.tree(), seed]))


class WindowsPlan:
    """The rows of a `WindowsConfig` over one part: N targets in D documents, T = window."""

    def __init__(self, config: WindowsConfig, part: Part, end: int, seed: int, fingerprint: str) -> None:
        self.config, self.end, self.seed, self.fingerprint = config, end, seed, fingerprint
        self.targets_per_epoch = part.target_count
        self._rows_per_epoch = -(-part.target_count // config.window)
        self.steps_per_epoch = -(-self._rows_per_epoch // config.batch)
        self._tokens = np.asarray(part.tokens)  # the same mapped memory without the cost of the memmap class
        self._offsets = part.offsets
        self._lengths = np.diff(part.offsets)
        self._order = lru_cache(maxsize=EPOCHS_HELD)(self._shuffled)

    def epoch(self, step: int) -> float:
        """Steps over steps per epoch."""
        return step / self.steps_per_epoch

    def rows(self, step: int) -> Rows:
        """The rows of a step; only their tokens are read."""
        config, window = self.config, self.config.window
        epoch, index = divmod(step, self.steps_per_epoch)
        count = min(config.batch, self._rows_per_epoch - index * config.batch)
        first = index * config.batch * window
        real = min(count * window, self.targets_per_epoch - first)
        places = np.arange(first - 1, first + real)  # of the tokens read, the first one only as input
        tokens, slots = self._gather(epoch, places)
        stream = np.full(count * window + 1, self.end, np.int64)
        stream[: real + 1] = tokens
        weight = np.zeros(count * window, np.float32)
        weight[:real] = 1
        return Rows(
            tokens=np.lib.stride_tricks.sliding_window_view(stream, window + 1)[::window],
            weight=weight.reshape(count, window),
            documents=self._documents(slots[1:], count) if config.document_mask else None,
            fresh=np.ones(count, np.bool_),
        )

    def _documents(self, slots: Indices, count: int) -> Indices:
        """[B, T] of each target's document, from 0 in each row; padding continues the last document.

        The end token before a document is its beginning: as input it stands where the document's first token is the
        target, hence it belongs to that document, not to the one it closes.
        """
        padded = np.pad(slots, (0, count * self.config.window - len(slots)), mode="edge").reshape(count, -1)
        return padded - padded[:, :1]

    def _gather(self, epoch: int, places: Indices) -> tuple[Indices, Indices]:
        """The tokens at places of an epoch's joined documents, and which of these documents each is in.

        Place -1 is the end token with which the stream begins.
        """
        order, starts = self._order(epoch)
        inside = np.maximum(places, 0)
        slots = np.searchsorted(starts, inside, side="right") - 1
        tokens = self._tokens[self._offsets[order[slots]] + inside - starts[slots]].astype(np.int64)
        return np.where(places < 0, self.end, tokens), slots

    def _shuffled(self, epoch: int) -> tuple[Indices, Indices]:
        """[D] the documents in the order of an epoch, and [D] where each begins among its tokens."""
        order = numpy_stream(self.seed, "data", epoch).permutation(len(self._lengths))
        lengths = self._lengths[order]
        return order, np.cumsum(lengths) - lengths
