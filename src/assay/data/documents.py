"""Batches of documents: a row is one document, padded; one longer than T targets is cut into rows of T that are read independently.

In every epoch the rows are shuffled; among those of `POOL` batches, rows of similar length are put together, so that little is
padding; then the batches are shuffled. A batch is as wide as its longest row. Padding has weight 0, so every token is a target of
weight 1 once an epoch.
"""

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from assay.core.seeds import numpy_generator
from assay.core.types import Batch
from assay.data.batches import CACHED_EPOCHS, Batches, BatchesConfig, Indices
from assay.text.token_files import TokenizedPart

POOL = 32  # batches: 1 would sort nothing, the whole text would always read documents of one length together


class DocumentsConfig(BatchesConfig):
    """One document a row: no row holds two documents, so any model keeps them apart."""

    kind: Literal["documents"] = "documents"
    policy = "documents"

    def build(self, part: TokenizedPart, end: int, seed: int, fingerprint: str) -> Batches:
        """Make the batches. Raises DataError for an empty part."""
        return DocumentBatches(self, part, end, seed, fingerprint)


class RowSpans(NamedTuple):
    """R rows of a part by the places of their targets."""

    begin: Indices  # [R]
    stop: Indices  # [R]
    starts_document: npt.NDArray[np.bool_]  # [R] whether a document begins with the row


def cut_documents(offsets: Indices, window: int) -> RowSpans:
    """Cut documents into rows of at most T targets."""
    lengths = np.diff(offsets)
    rows = -(-lengths // window)  # of each document
    document = np.repeat(np.arange(len(lengths)), rows)
    piece = np.arange(len(document)) - np.repeat(np.cumsum(rows) - rows, rows)
    begin = offsets[document] + piece * window
    return RowSpans(begin, np.minimum(begin + window, offsets[document + 1]), piece == 0)


class DocumentBatches(Batches):
    """R rows, each a document or a piece of one, in batches of B."""

    def __init__(self, config: DocumentsConfig, part: TokenizedPart, end: int, seed: int, fingerprint: str) -> None:
        super().__init__(config, part, end, seed, fingerprint)
        self._tokens = np.asarray(part.tokens)
        self._spans = cut_documents(part.offsets, config.window)
        self.steps_per_epoch = -(-len(self._spans.begin) // config.size)
        self._order = lru_cache(maxsize=CACHED_EPOCHS)(self._shuffle)

    def batch_at(self, step: int) -> Batch:
        """Gather the rows of a step, padded on the right."""
        epoch, index = divmod(step, self.steps_per_epoch)
        chosen = self._order(epoch)[index]
        begin, stop = self._spans.begin[chosen, None], self._spans.stop[chosen, None]
        target = begin + np.arange((stop - begin).max())  # [B, T] places in the part
        real = target < stop
        tokens = np.full((len(chosen), target.shape[1] + 1), self.end, dtype=np.int64)
        tokens[:, 1:][real] = self._tokens[target[real]]
        inside = ~self._spans.starts_document[chosen]
        tokens[inside, 0] = self._tokens[begin[inside, 0] - 1]
        resets_state = torch.ones(len(chosen), dtype=torch.bool)
        return Batch(torch.from_numpy(tokens), torch.from_numpy(real.astype(np.float32)), documents=None, resets_state=resets_state)

    def _shuffle(self, epoch: int) -> list[Indices]:
        """Draw the batches of an epoch, in the order they are read."""
        generator, size = numpy_generator(self.seed, "data", epoch), self.size
        order, lengths = generator.permutation(len(self._spans.begin)), self._spans.stop - self._spans.begin
        pools = [order[at : at + POOL * size] for at in range(0, len(order), POOL * size)]
        by_length = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = [by_length[at : at + size] for at in range(0, len(by_length), size)]
        return [batches[index] for index in generator.permutation(len(batches))]
