"""Windows: in every epoch the documents are shuffled, joined and cut into rows of equal length, and the rows are shuffled.

Row i reads `stream[i T : i T + T + 1]` of the epoch's stream; the row with the end of the stream is padded with weight 0 and the last
batch of an epoch may have fewer rows, so nothing is dropped. `divmod(step, steps_per_epoch)` is the epoch and the batch in it.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np

from assay.core.config import digest, setting
from assay.core.seeds import numpy_stream
from assay.data.plan import Plan, PlanConfig, Rows, refuse_empty
from assay.data.stream import EPOCHS_HELD, Indices, Stream
from assay.text.store import Part


class WindowsConfig(PlanConfig):
    """Shuffled documents, joined and cut into rows, which are shuffled too."""

    kind: Literal["windows"] = "windows"
    document_mask: bool = setting(False, "isolate the documents of a row from each other", other=True, bites="training")

    @property
    def masks(self) -> bool:
        return self.document_mask

    def build(self, part: Part, end: int, seed: int, fingerprint: str) -> Plan:
        """Raises DataError for a part without documents."""
        refuse_empty(part)
        return WindowsPlan(self, part, end, seed, digest([fingerprint, part.sha256, self.tree(), seed]))


class WindowsPlan:
    """The rows of a `WindowsConfig` over one part: N targets, T = window."""

    carries = False

    def __init__(self, config: WindowsConfig, part: Part, end: int, seed: int, fingerprint: str) -> None:
        self.config, self.seed, self.fingerprint = config, seed, fingerprint
        self.stream = Stream(part, end, seed)
        self.targets_per_epoch = part.target_count
        self._rows_per_epoch = -(-part.target_count // config.window)
        self.steps_per_epoch = -(-self._rows_per_epoch // config.batch)
        self._row_order = lru_cache(maxsize=EPOCHS_HELD)(self._shuffled_rows)

    def epoch(self, step: int) -> float:
        """Steps over steps per epoch."""
        return step / self.steps_per_epoch

    def rows(self, step: int) -> Rows:
        """The rows of a step; only their tokens are read. Documents are numbered from 0 in each row."""
        epoch, index = divmod(step, self.steps_per_epoch)
        chosen = self._row_order(epoch)[index * self.config.batch : (index + 1) * self.config.batch]
        target = chosen[:, None] * self.config.window + np.arange(self.config.window)  # [B, T] places in the stream of the epoch
        rows = self.stream.rows(epoch, target, np.full((len(chosen), 1), self.targets_per_epoch), mask=self.config.document_mask)
        return rows if rows.documents is None else replace(rows, documents=rows.documents - rows.documents[:, :1])

    def _shuffled_rows(self, epoch: int) -> Indices:
        """The rows of an epoch in the order they are read; without it a text of one document would be read from front to back."""
        return numpy_stream(self.seed, "data", epoch, 1).permutation(self._rows_per_epoch)
