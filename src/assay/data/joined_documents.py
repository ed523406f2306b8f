"""Batches of joined documents: shuffled windows, or parallel streams whose state is carried from step to step.

The joined text of an epoch is one end token and then every document with its end token, so that the first token is a target too: N
targets, each once. The documents are shuffled anew in every epoch. A contiguous text has no end tokens between its documents and keeps
its order: its epoch begins at one of its documents and continues from its end to its beginning.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from assay.core.config import setting
from assay.core.seeds import numpy_generator
from assay.core.types import Batch
from assay.data.batches import CACHED_EPOCHS, Batches, BatchesConfig, Indices
from assay.text.token_files import TokenizedPart


class JoinedDocuments:
    """The N targets of a part's D documents, joined in the order of any epoch; a place is the index of a target."""

    def __init__(self, part: TokenizedPart, end: int, seed: int) -> None:
        self.end, self.seed, self.size = end, seed, part.target_count
        self._tokens = np.asarray(part.tokens)  # the same mapped memory without the cost of the memmap class
        self._offsets, self._ends = part.offsets, part.has_end_tokens
        self._lengths = np.diff(part.offsets)
        self.order = lru_cache(maxsize=CACHED_EPOCHS)(self._draw_order)

    def gather_batch(self, epoch: int, target: Indices, stop: Indices, *, mask: bool) -> Batch:
        """Gather the rows whose targets are the places `target` [B, T]; those from `stop` [B, 1] on are padding of weight 0.

        With `mask` the row has the documents of its targets, in numbers that rise along the joined text of an epoch.
        """
        real = target < stop
        places = np.concatenate([target[:, :1] - 1, np.minimum(target, self.size - 1)], axis=1)  # [B, T+1]
        tokens, slots = (array.reshape(places.shape) for array in self._gather(epoch, places.ravel()))
        tokens[:, 1:][~real] = self.end
        return Batch(
            tokens=torch.from_numpy(tokens),
            weight=torch.from_numpy(real.astype(np.float32)),
            documents=torch.from_numpy(slots[:, 1:]) if mask else None,
            resets_state=torch.ones(len(target), dtype=torch.bool),
        )

    def _gather(self, epoch: int, places: Indices) -> tuple[Indices, Indices]:
        """Look up the tokens at places of an epoch's joined documents, and which of these documents each is in.

        Place -1 is the end token with which the joined text begins. The end token before a document is its beginning: as input it stands
        where the document's first token is the target, hence it belongs to that document, not to the one it closes.
        """
        order, starts = self.order(epoch)
        inside = np.maximum(places, 0)
        slots = np.searchsorted(starts, inside, side="right") - 1
        tokens = self._tokens[self._offsets[order[slots]] + inside - starts[slots]].astype(np.int64)
        return np.where(places < 0, self.end, tokens), slots

    def _draw_order(self, epoch: int) -> tuple[Indices, Indices]:
        """Draw the order of an epoch: [D] its documents, and [D] where each begins among its tokens."""
        generator, count = numpy_generator(self.seed, "data", epoch), len(self._lengths)
        order = generator.permutation(count) if self._ends else np.roll(np.arange(count), -int(generator.integers(count)))
        lengths = self._lengths[order]
        return order, np.cumsum(lengths) - lengths


class WindowsConfig(BatchesConfig):
    """Shuffled documents, joined and cut into rows of equal length, which are shuffled too."""

    kind: Literal["windows"] = "windows"
    document_mask: bool = setting(False, "isolate the documents of a row from each other", alternative=True, affects="training")

    @property
    def masks_documents(self) -> bool:
        return self.document_mask

    def build(self, part: TokenizedPart, end: int, seed: int, fingerprint: str) -> Batches:
        """Make the batches. Raises DataError for an empty part."""
        return WindowBatches(self, part, end, seed, fingerprint)


class WindowBatches(Batches):
    """Rows of T targets, in random order; row i holds the tokens i T to i T + T of the joined text, T = window.

    The row with the end of the text is padded with weight 0 and the last batch of an epoch may have fewer rows, so nothing is dropped.
    `divmod(step, steps_per_epoch)` is the epoch and the batch in it.
    """

    def __init__(self, config: WindowsConfig, part: TokenizedPart, end: int, seed: int, fingerprint: str) -> None:
        super().__init__(config, part, end, seed, fingerprint)
        self.joined, self.document_mask = JoinedDocuments(part, end, seed), config.document_mask
        self._rows_per_epoch = -(-part.target_count // config.window)
        self.steps_per_epoch = -(-self._rows_per_epoch // config.size)
        self._row_order = lru_cache(maxsize=CACHED_EPOCHS)(self._shuffle_rows)

    def batch_at(self, step: int) -> Batch:
        """Gather the rows of a step; only their tokens are read. Documents are numbered from 0 in each row."""
        epoch, index = divmod(step, self.steps_per_epoch)
        chosen = self._row_order(epoch)[index * self.size : (index + 1) * self.size]
        target = chosen[:, None] * self.window + np.arange(self.window)  # [B, T] places in the joined text
        batch = self.joined.gather_batch(epoch, target, np.full((len(chosen), 1), self.targets_per_epoch), mask=self.document_mask)
        return batch if batch.documents is None else replace(batch, documents=batch.documents - batch.documents[:, :1])

    def _shuffle_rows(self, epoch: int) -> Indices:
        """Draw the order of an epoch's rows; without it a text of one document would be read from front to back."""
        return numpy_generator(self.seed, "data", epoch, 1).permutation(self._rows_per_epoch)


class StreamsConfig(BatchesConfig):
    """Contiguous streams read in parallel: a row begins with the state that the model has at the end of the row before in its stream."""

    kind: Literal["streams"] = "streams"
    carries_state = True
    policy = "streams"

    def build(self, part: TokenizedPart, end: int, seed: int, fingerprint: str) -> Batches:
        """Make the batches. Raises DataError for an empty part."""
        return StreamBatches(self, part, end, seed, fingerprint)


class StreamBatches(Batches):
    """The joined text of an epoch, cut into B contiguous streams that are read in parallel, T = window targets a step.

    Stream b holds the places [b N / B, (b + 1) N / B), rounded down, so that lengths differ by at most one. Row b of step s continues
    where row b of step s - 1 stopped: a model that carries its state sees the whole past of its stream while gradients reach T tokens
    back (truncated back-propagation; Williams and Peng 1990). Where a stream ends the row is padded with weight 0, and every epoch
    begins with a new state.
    """

    def __init__(self, config: StreamsConfig, part: TokenizedPart, end: int, seed: int, fingerprint: str) -> None:
        super().__init__(config, part, end, seed, fingerprint)
        self.joined = JoinedDocuments(part, end, seed)
        cuts = np.arange(config.size + 1) * part.target_count // config.size  # [B+1]
        self._begin, self._stop = cuts[:-1, None], cuts[1:, None]
        self.steps_per_epoch = int(-(-(self._stop - self._begin).max() // config.window))

    def batch_at(self, step: int) -> Batch:
        """Gather the next row of every stream; the rows of an epoch's first step reset the state."""
        epoch, index = divmod(step, self.steps_per_epoch)
        target = self._begin + index * self.window + np.arange(self.window)  # [B, T] places in the joined text
        batch = self.joined.gather_batch(epoch, target, self._stop, mask=False)
        return replace(batch, resets_state=torch.full((len(target),), index == 0))
