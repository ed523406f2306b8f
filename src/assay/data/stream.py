"""The stream of an epoch: the documents of a part in that epoch's order, joined.

It is one end token and then every document with its end token, so that the first token is a target too: N targets, each once.
The documents are shuffled anew in every epoch. A contiguous text has no end tokens between its documents and keeps its order:
its epoch begins at one of its documents and goes round.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from assay.core.seeds import numpy_stream
from assay.data.plan import Rows
from assay.text.store import Part

Indices = npt.NDArray[np.int64]
EPOCHS_HELD = 2  # orders kept in memory: a step and its neighbour are in at most two epochs


class Stream:
    """The N targets of a part's D documents in the order of any epoch; a place is the index of a target."""

    def __init__(self, part: Part, end: int, seed: int) -> None:
        self.end, self.seed, self.size = end, seed, part.target_count
        self._tokens = np.asarray(part.tokens)  # the same mapped memory without the cost of the memmap class
        self._offsets, self._ends = part.offsets, part.ends
        self._lengths = np.diff(part.offsets)
        self.order = lru_cache(maxsize=EPOCHS_HELD)(self._order)

    def rows(self, epoch: int, target: Indices, stop: Indices, *, mask: bool) -> Rows:
        """The rows whose targets are the places `target` [B, T], those from `stop` [B, 1] on being padding of weight 0.

        `mask` asks for the documents of the targets; their numbers rise along the stream of an epoch.
        """
        real = target < stop
        places = np.concatenate([target[:, :1] - 1, np.minimum(target, self.size - 1)], axis=1)  # [B, T+1]
        tokens, slots = (found.reshape(places.shape) for found in self._gather(epoch, places.ravel()))
        tokens[:, 1:][~real] = self.end
        return Rows(
            tokens=tokens,
            weight=real.astype(np.float32),
            documents=slots[:, 1:] if mask else None,
            fresh=np.ones(len(target), np.bool_),
        )

    def _gather(self, epoch: int, places: Indices) -> tuple[Indices, Indices]:
        """The tokens at places of an epoch's joined documents, and which of these documents each is in.

        Place -1 is the end token with which the stream begins. The end token before a document is its beginning: as input it stands
        where the document's first token is the target, hence it belongs to that document, not to the one it closes.
        """
        order, starts = self.order(epoch)
        inside = np.maximum(places, 0)
        slots = np.searchsorted(starts, inside, side="right") - 1
        tokens = self._tokens[self._offsets[order[slots]] + inside - starts[slots]].astype(np.int64)
        return np.where(places < 0, self.end, tokens), slots

    def _order(self, epoch: int) -> tuple[Indices, Indices]:
        """[D] the documents in the order of an epoch, and [D] where each begins among its tokens."""
        draw, count = numpy_stream(self.seed, "data", epoch), len(self._lengths)
        order = draw.permutation(count) if self._ends else np.roll(np.arange(count), -int(draw.integers(count)))
        lengths = self._lengths[order]
        return order, np.cumsum(lengths) - lengths
