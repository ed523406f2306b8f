"""Read a text for scoring: in windows, documents alone, or streams with carried state. Every target is scored exactly once."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from assay.data.documents import cut_documents
from assay.text.token_files import TokenizedPart

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
MERGED_ROW = 4  # reaches of a model in a row that merges many windows: the reach is then read anew for a third of the targets
MAX_STREAMS = 16  # a row each, so that small models are not read token by token
MIN_ROWS = 64  # of T targets in a stream: a cold start then touches about a hundredth of the targets


class ScoringBatch(NamedTuple):
    """Rows that are read at once: `tokens[:, :-1]` is read, `tokens[:, 1:]` predicted; rows are padded with end tokens."""

    tokens: Ints  # [B, T+1]
    scored: Bools  # [B, T] whether a target is scored here
    documents: Ints | None  # [B, T] the document of each target; None: documents are not isolated
    target_index: Ints  # [B, T] of each target in the part
    starts_stream: bool = True  # False: the rows go on with the state that the batch before left


@dataclass(frozen=True)
class TextReader(ABC):
    """A text as units that can be read independently: windows, documents or streams. A target sees what is before it in its unit."""

    part: TokenizedPart
    end: int  # id of the end token, with which every text begins
    context: int  # T: targets in a row at most
    unit_name: ClassVar[str]  # of its units, in the plural
    carries_state: ClassVar[bool] = False  # whether a batch may go on with the state of the one before

    @property
    @abstractmethod
    def starts(self) -> Ints:
        """[U] the first target of each unit."""

    def __len__(self) -> int:
        return len(self.starts)

    @abstractmethod
    def batches(self, chosen: Ints, size: int) -> Iterator[ScoringBatch]:
        """Read the chosen units, about `size` rows at a time."""

    def find_units(self, targets: Ints) -> Ints:
        """Find the unit that scores each target."""
        return np.searchsorted(self.starts, targets, side="right") - 1

    def context_lengths(self, targets: Ints) -> Ints:
        """Count the tokens that each target sees; the end token with which every text begins is one."""
        seen: Ints = targets - self.starts[self.find_units(targets)] + 1
        return seen

    def merge_windows(self, reach: int | None) -> "TextReader":
        """Return a cheaper reader with the same figures for a model whose predictions depend on `reach` tokens and their last one."""
        return self


@dataclass(frozen=True)
class WindowReader(TextReader):
    """Windows over a part's tokens: window i scores targets [i s, i s + s) and reads at most T tokens before the last of them.

    The tokens are preceded by the end token, so that token 0 has something before it and is scored too. Target t of N sees
    t + 1 - max(0, min((i + 1) s, N) - T) tokens, i = t // s. So the last window, which scores what is left, begins earlier, in order to be
    full: with s = T its r targets see T - r + 1 to T tokens, of which it reads some again and scores none again; every other window's
    see 1 to T. The rolling windows of EleutherAI's lm-evaluation-harness are the same. Source of the arithmetic: the sliding window of
    arXiv 1808.04444, section 3.2, with any stride.
    """

    stride: int  # s
    document_mask: bool
    unit_name: ClassVar[str] = "windows"

    @property
    def starts(self) -> Ints:
        return np.arange(0, self.part.target_count, self.stride)

    def batches(self, chosen: Ints, size: int) -> Iterator[ScoringBatch]:
        """Read `size` windows at a time."""
        for start in range(0, len(chosen), size):
            yield self.rows(chosen[start : start + size])

    def rows(self, chosen: Ints) -> ScoringBatch:
        """Read some windows as one batch; short ones are padded on the right and not scored there."""
        begin = chosen * self.stride  # first target to score
        stop = np.minimum(begin + self.stride, self.part.target_count)
        first = np.maximum(stop - self.context, 0)  # first target in the row
        index = first[:, None] + np.arange(min(self.context, int((stop - first).max())))  # [B, T]
        inside = index < stop[:, None]
        tokens, index = _make_rows(self.part, self.end, index, inside, first - 1)
        documents = find_documents(self.part, index) if self.document_mask else None
        return ScoringBatch(tokens, inside & (index >= begin[:, None]), documents, index)

    def context_lengths(self, targets: Ints) -> Ints:
        """Count the tokens before each target in its window and, where documents are isolated, in its document."""
        stop = np.minimum((targets // self.stride + 1) * self.stride, self.part.target_count)
        first = np.maximum(stop - self.context, 0)
        if self.document_mask:
            first = np.maximum(first, self.part.offsets[find_documents(self.part, targets)])
        seen: Ints = targets - first + 1
        return seen

    def merge_windows(self, reach: int | None) -> "WindowReader":
        """Return longer windows that overlap by the reach R, if every target of these sees as much as the model can use.

        A target sees at least T - s + 1 tokens or all there are. Where that is more than R, what is before them changes nothing, so windows
        of any T' > R with the stride T' - R give the same predictions, up to rounding, and read T' / (T' - R) tokens a target instead
        of T / s.
        """
        if reach is None or self.context - self.stride < reach:
            return self
        context = max(self.context, MERGED_ROW * (reach + 1))
        return replace(self, context=context, stride=context - reach)


@dataclass(frozen=True)
class DocumentReader(TextReader):
    """Documents, each read alone in a row; one longer than T targets is cut into rows that are read independently."""

    unit_name: ClassVar[str] = "rows"

    @cached_property
    def _rows(self) -> tuple[Ints, Ints, Ints]:
        begin, stop, first = cut_documents(self.part.offsets, self.context)
        return begin, stop, np.where(first, -1, begin - 1)

    @property
    def starts(self) -> Ints:
        return self._rows[0]

    def batches(self, chosen: Ints, size: int) -> Iterator[ScoringBatch]:
        """Read `size` rows at a time, rows of similar length together."""
        begin, stop, before = self._rows
        order = chosen[np.argsort((stop - begin)[chosen], kind="stable")]
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            index = begin[rows, None] + np.arange((stop - begin)[rows].max())  # [B, T]
            scored = index < stop[rows, None]
            tokens, index = _make_rows(self.part, self.end, index, scored, before[rows])
            yield ScoringBatch(tokens, scored, None, index)


@dataclass(frozen=True)
class StreamReader(TextReader):
    """Streams with carried state: stream i of S holds the targets [i N / S, (i + 1) N / S), rounded down, and is read T at a time.

    A target sees the whole past of its stream. Only the first tokens of a stream lack what was before them, and a stream is long, so the
    loss by cold starts is small. S depends on the text and the context alone, so the figure does, too; T matters only through S.
    """

    unit_name: ClassVar[str] = "streams"
    carries_state: ClassVar[bool] = True

    def __len__(self) -> int:
        return max(1, min(MAX_STREAMS, self.part.target_count // (MIN_ROWS * self.context)))

    @property
    def cuts(self) -> Ints:
        """[S+1] where streams begin, and N."""
        return np.arange(len(self) + 1) * self.part.target_count // len(self)

    @property
    def starts(self) -> Ints:
        return self.cuts[:-1]

    def batches(self, chosen: Ints, size: int) -> Iterator[ScoringBatch]:
        """Read all chosen streams side by side, T targets at a time."""
        begin, stop = self.cuts[chosen, None], self.cuts[chosen + 1, None]
        for start in range(0, int((stop - begin).max(initial=0)), self.context):
            index = begin + start + np.arange(self.context)  # [S, T]
            scored = index < stop
            tokens, index = _make_rows(self.part, self.end, index, scored, index[:, 0] - 1)
            yield ScoringBatch(tokens, scored, None, index, starts_stream=start == 0)


def _make_rows(part: TokenizedPart, end: int, index: Ints, inside: Bools, before: Ints) -> tuple[Ints, Ints]:
    """Return the tokens [B, T+1] of rows of targets [B, T] that follow `before` [B] (-1: the end token), and the targets kept in the part.

    Where a target is not `inside`, the token is the end token.
    """
    tokens = np.full((len(index), index.shape[1] + 1), end, dtype=np.int64)
    tokens[:, 1:][inside] = part.tokens[index[inside]]
    last = part.target_count - 1
    tokens[before >= 0, 0] = part.tokens[np.minimum(before[before >= 0], last)]
    return tokens, np.minimum(index, last)


def find_documents(part: TokenizedPart, targets: Ints) -> Ints:
    """Find the document that each target belongs to; its end token belongs to it."""
    return np.searchsorted(part.offsets, targets, side="right") - 1
