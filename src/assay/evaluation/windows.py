"""Windows over a text for scoring: every token is a target exactly once, whatever its length, the context and the stride."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from assay.evaluation.reading import Ints, Piece, document_of
from assay.text.store import Part

ROW = 4  # reaches of a model in a row that shares the work of many windows: the reach is then read anew for a third of the targets


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of a part's token stream: window i scores targets [i s, i s + s) and reads at most T tokens before the last of them.

    The stream is the end token followed by all tokens, so that token 0 has something before it and is scored too. Source of the
    arithmetic: the sliding window of arXiv 1808.04444, section 3.2, with any stride.
    """

    part: Part
    end: int
    context: int  # T
    stride: int  # s
    document_mask: bool
    name: ClassVar[str] = "windows"
    carries: ClassVar[bool] = False

    def __len__(self) -> int:
        return math.ceil(self.part.target_count / self.stride)

    def batches(self, chosen: Ints, size: int) -> Iterator[Piece]:
        """`size` windows at a time."""
        for at in range(0, len(chosen), size):
            yield self.rows(chosen[at : at + size])

    def rows(self, chosen: Ints) -> Piece:
        """The rows of some windows; short ones are padded on the right with the end token and not scored there."""
        total = self.part.target_count
        begin = chosen * self.stride  # first target to score
        stop = np.minimum(begin + self.stride, total)
        first = np.maximum(stop - self.context, 0)  # first target in the row
        length = min(self.context, int((stop - first).max()))
        index = first[:, None] + np.arange(length)  # [B, T] target index
        inside = index < stop[:, None]
        index = np.minimum(index, total - 1)
        tokens = np.full((len(chosen), length + 1), self.end, dtype=np.int64)
        tokens[:, 1:] = np.where(inside, self.part.tokens[index], self.end)
        tokens[:, 0] = np.where(first > 0, self.part.tokens[np.maximum(first - 1, 0)], self.end)
        documents = document_of(self.part, index) if self.document_mask else None
        return Piece(tokens, inside & (index >= begin[:, None]), documents, index)

    def unit_of(self, place: Ints) -> Ints:
        """The window that scores each target."""
        return place // self.stride

    def sees(self, place: Ints) -> Ints:
        """What is before it in its window and, where documents are isolated, in its document."""
        stop = np.minimum((place // self.stride + 1) * self.stride, self.part.target_count)
        first = np.maximum(stop - self.context, 0)
        if self.document_mask:
            first = np.maximum(first, self.part.offsets[document_of(self.part, place)])
        seen: Ints = place - first + 1
        return seen

    def shared(self, reach: int | None) -> "Windows":
        """Longer windows that overlap by the reach R, if every target of these sees as much as the model can use.

        A target sees at least T - s + 1 tokens or all there are. Where that is more than R, what is before them changes nothing, so windows
        of any T' > R with the stride T' - R give the same predictions, up to rounding, and read T' / (T' - R) tokens a target instead
        of T / s.
        """
        if reach is None or self.context - self.stride < reach:
            return self
        context = max(self.context, ROW * (reach + 1))
        return replace(self, context=context, stride=context - reach)
