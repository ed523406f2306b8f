"""Documents for scoring: each one is read alone; one longer than T targets in rows of T that know nothing of each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from assay.data.documents import cut
from assay.evaluation.reading import Ints, Piece
from assay.text.store import Part


@dataclass(frozen=True)
class Documents:
    """The rows of the `documents` plan in their order, for scoring."""

    part: Part
    end: int
    context: int  # T
    name: ClassVar[str] = "rows"
    carries: ClassVar[bool] = False

    @cached_property
    def _rows(self) -> tuple[Ints, Ints, Ints]:
        begin, stop, first = cut(self.part.offsets, self.context)
        return begin, stop, np.where(first, -1, begin - 1)

    def __len__(self) -> int:
        return len(self._rows[0])

    def batches(self, chosen: Ints, size: int) -> Iterator[Piece]:
        """`size` rows at a time, rows of similar length together."""
        begin, stop, before = self._rows
        order = chosen[np.argsort((stop - begin)[chosen], kind="stable")]
        for at in range(0, len(order), size):
            rows = order[at : at + size]
            index = begin[rows, None] + np.arange((stop - begin)[rows].max())  # [B, T]
            scored = index < stop[rows, None]
            tokens = np.full((len(rows), index.shape[1] + 1), self.end, dtype=np.int64)
            tokens[:, 1:][scored] = self.part.tokens[index[scored]]
            inside = before[rows] >= 0
            tokens[inside, 0] = self.part.tokens[before[rows][inside]]
            yield Piece(tokens, scored, None, np.minimum(index, self.part.target_count - 1))

    def unit_of(self, place: Ints) -> Ints:
        """The row that scores each target."""
        return np.searchsorted(self._rows[0], place, side="right") - 1

    def sees(self, place: Ints) -> Ints:
        """What is before it in its row."""
        return place - self._rows[0][self.unit_of(place)] + 1

    def shared(self, reach: int | None) -> "Documents":
        """Itself: nothing is read twice."""
        return self
