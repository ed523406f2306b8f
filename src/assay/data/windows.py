"""Windows: in every epoch the documents are shuffled, joined and cut into rows of equal length, and the rows are shuffled.

The stream of an epoch is one end token and then every document with its end token, so that the first token is a target
too: N targets, each once. Row i reads `stream[i T : i T + T + 1]`; the row with the end of the stream is padded with weight 0 and
the last batch of an epoch may have fewer rows, so nothing is dropped. A contiguous text has no end tokens between its documents
and keeps its order: an epoch begins at one of its documents and goes round. `divmod(step, steps_per_epoch)` is the epoch and the batch in it.
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
    """Shuffled documents, joined and cut into rows, which are shuffled too."""

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
        self._offsets, self._ends = part.offsets, part.ends
        self._lengths = np.diff(part.offsets)
        self._order = lru_cache(maxsize=EPOCHS_HELD)(self._shuffled)
        self._row_order = lru_cache(maxsize=EPOCHS_HELD)(self._shuffled_rows)

    def epoch(self, step: int) -> float:
        """Steps over steps per epoch."""
        return step / self.steps_per_epoch

    def rows(self, step: int) -> Rows:
        """The rows of a step; only their tokens are read."""
        epoch, index = divmod(step, self.steps_per_epoch)
        chosen = self._row_order(epoch)[index * self.config.batch : (index + 1) * self.config.batch]
        target = chosen[:, None] * self.config.window + np.arange(self.config.window)  # [B, T] places in the stream of the epoch
        real = target < self.targets_per_epoch
        places = np.concatenate([target[:, :1] - 1, np.minimum(target, self.targets_per_epoch - 1)], axis=1)  # [B, T+1]
        tokens, slots = (found.reshape(places.shape) for found in self._gather(epoch, places.ravel()))
        tokens[:, 1:][~real] = self.end
        return Rows(
            tokens=tokens,
            weight=real.astype(np.float32),
            documents=self._documents(slots[:, 1:]) if self.config.document_mask else None,
            fresh=np.ones(len(chosen), np.bool_),
        )

    @staticmethod
    def _documents(slots: Indices) -> Indices:
        """[B, T] of each target's document, from 0 in each row; padding continues the last document.

        The end token before a document is its beginning: as input it stands where the document's first token is the
        target, hence it belongs to that document, not to the one it closes.
        """
        return slots - slots[:, :1]

    def _shuffled_rows(self, epoch: int) -> Indices:
        """The rows of an epoch in the order they are read; without it a text of one document would be read from front to back."""
        return numpy_stream(self.seed, "data", epoch, 1).permutation(self._rows_per_epoch)

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
        draw, count = numpy_stream(self.seed, "data", epoch), len(self._lengths)
        order = draw.permutation(count) if self._ends else np.roll(np.arange(count), -int(draw.integers(count)))
        lengths = self._lengths[order]
        return order, np.cumsum(lengths) - lengths
