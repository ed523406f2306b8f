"""Streams for scoring with carried state: a text is cut into a few streams that are read side by side, each from its beginning on.

A target sees the whole past of its stream. Only the first tokens of a stream lack what was before them, and a stream is long, so the
loss by cold starts is small; how many streams there are depends on the text and the context alone, so that the figure does, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from assay.evaluation.reading import Ints, Piece
from assay.text.store import Part

STREAMS = 16  # at most; a row each, so that small models are not read token by token
LEAST_ROWS = 64  # of T targets in a stream: a cold start then touches about a hundredth of the targets


@dataclass(frozen=True, slots=True)
class Streams:
    """Stream s of S holds the targets [s N / S, (s + 1) N / S), rounded down, and is read T targets at a time."""

    part: Part
    end: int
    context: int  # T: targets in a piece; the figure does not depend on it but through S
    name: ClassVar[str] = "streams"
    carries: ClassVar[bool] = True

    def __len__(self) -> int:
        return max(1, min(STREAMS, self.part.target_count // (LEAST_ROWS * self.context)))

    @property
    def cuts(self) -> Ints:
        """[S+1] where streams begin, and N."""
        return np.arange(len(self) + 1) * self.part.target_count // len(self)

    def batches(self, chosen: Ints, size: int) -> Iterator[Piece]:
        """All chosen streams together, piece by piece."""
        begin, stop = self.cuts[chosen, None], self.cuts[chosen + 1, None]
        if len(chosen) == 0:
            return
        for start in range(0, int((stop - begin).max()), self.context):
            index = begin + start + np.arange(self.context)  # [S, T]
            scored = index < stop
            tokens = np.full((len(chosen), self.context + 1), self.end, dtype=np.int64)
            tokens[:, 1:][scored] = self.part.tokens[index[scored]]
            before = index[:, 0] - 1
            tokens[:, 0] = np.where(before >= 0, self.part.tokens[np.clip(before, 0, self.part.target_count - 1)], self.end)
            yield Piece(tokens, scored, None, np.minimum(index, self.part.target_count - 1), fresh=start == 0)

    def unit_of(self, place: Ints) -> Ints:
        """The stream that holds each target."""
        return np.searchsorted(self.cuts, place, side="right") - 1

    def sees(self, place: Ints) -> Ints:
        """All of its stream before it."""
        return place - self.cuts[self.unit_of(place)] + 1

    def shared(self, reach: int | None) -> "Streams":
        """Itself: state is carried, so nothing is read twice."""
        return self
