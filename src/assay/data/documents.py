"""Documents: a row is one document, padded; a document longer than T targets is cut into rows of T that know nothing of each other.

In every epoch the rows are shuffled; among those of `POOL` batches, rows of similar length are put together, so that little is
padding; then the batches are shuffled. A batch is as wide as its longest row. Padding has weight 0, so every token is a target of
weight 1 once an epoch.
"""

from functools import lru_cache
from typing import Literal

import numpy as np

from assay.core.config import digest
from assay.core.seeds import numpy_stream
from assay.data.plan import Plan, PlanConfig, Policy, Rows, refuse_empty
from assay.data.stream import EPOCHS_HELD, Indices
from assay.text.store import Part

POOL = 32  # batches: 1 would sort nothing, the whole text would always read documents of one length together


class DocumentsConfig(PlanConfig):
    """One document a row: no row holds a boundary, so any model keeps documents apart."""

    kind: Literal["documents"] = "documents"

    @property
    def policy(self) -> Policy:
        return "documents"

    def build(self, part: Part, end: int, seed: int, fingerprint: str) -> Plan:
        """Raises DataError for a part without documents."""
        refuse_empty(part)
        return DocumentsPlan(self, part, end, seed, digest([fingerprint, part.sha256, self.tree(), seed]))


def cut(offsets: Indices, window: int) -> tuple[Indices, Indices, Indices]:
    """Documents cut into rows of at most T targets: where each row begins and stops [R], and whether a document begins there [R]."""
    lengths = np.diff(offsets)
    rows = -(-lengths // window)  # of each document
    document = np.repeat(np.arange(len(lengths)), rows)
    piece = np.arange(len(document)) - np.repeat(np.cumsum(rows) - rows, rows)
    begin = offsets[document] + piece * window
    return begin, np.minimum(begin + window, offsets[document + 1]), piece == 0


class DocumentsPlan:
    """The rows of a `DocumentsConfig` over one part: R rows in batches of B."""

    carries = False

    def __init__(self, config: DocumentsConfig, part: Part, end: int, seed: int, fingerprint: str) -> None:
        self.config, self.end, self.seed, self.fingerprint = config, end, seed, fingerprint
        self.targets_per_epoch = part.target_count
        self._tokens = np.asarray(part.tokens)
        self._begin, self._stop, self._first = cut(part.offsets, config.window)
        self.steps_per_epoch = -(-len(self._begin) // config.batch)
        self._batches = lru_cache(maxsize=EPOCHS_HELD)(self._ordered)

    def epoch(self, step: int) -> float:
        """Steps over steps per epoch."""
        return step / self.steps_per_epoch

    def rows(self, step: int) -> Rows:
        """The rows of a step, padded on the right."""
        epoch, index = divmod(step, self.steps_per_epoch)
        chosen = self._batches(epoch)[index]
        begin, stop = self._begin[chosen, None], self._stop[chosen, None]
        target = begin + np.arange((stop - begin).max())  # [B, T] places in the part
        real = target < stop
        tokens = np.full((len(chosen), target.shape[1] + 1), self.end, dtype=np.int64)
        tokens[:, 1:][real] = self._tokens[target[real]]
        inside = ~self._first[chosen]
        tokens[inside, 0] = self._tokens[begin[inside, 0] - 1]
        return Rows(tokens=tokens, weight=real.astype(np.float32), documents=None, fresh=np.ones(len(chosen), np.bool_))

    def _ordered(self, epoch: int) -> list[Indices]:
        """The batches of an epoch in the order they are read."""
        draw, batch = numpy_stream(self.seed, "data", epoch), self.config.batch
        order, lengths = draw.permutation(len(self._begin)), self._stop - self._begin
        pools = [order[at : at + POOL * batch] for at in range(0, len(order), POOL * batch)]
        alike = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = [alike[at : at + batch] for at in range(0, len(alike), batch)]
        return [batches[index] for index in draw.permutation(len(batches))]
