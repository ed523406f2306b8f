"""The scored targets of a text, in its order: what each one is and what was measured of it. All figures are sums over some of these."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.evaluation.measure import Record
from assay.evaluation.reading import Ints, Reading, document_of
from assay.text.store import Part
from assay.text.tokenizer import Ids, Tokenizer

WHITE_SPACE = b"\t\n\v\f\r "


@dataclass(frozen=True, eq=False)
class Targets:
    """n targets; the end token that follows a document is one of them."""

    reading: Reading
    tokenizer: Tokenizer
    record: Record  # of the whole part
    group_names: tuple[str, ...] = ()  # what the part's group numbers mean
    index: Ints = field(init=False)  # [n] which targets of the part were scored

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", np.nonzero(self.record.times)[0])

    @property
    def part(self) -> Part:
        """The text."""
        return self.reading.part

    @property
    def complete(self) -> bool:
        """Whether every target of the part was scored."""
        return len(self.index) == self.part.target_count

    @cached_property
    def tokens(self) -> Ids:
        """[n] their ids."""
        return np.asarray(self.part.tokens[self.index])

    @cached_property
    def sizes(self) -> Ints:
        """[n] bytes of raw text that each stands for."""
        return self.tokenizer.byte_lengths[self.tokens]

    @cached_property
    def characters(self) -> Ints:
        """[n] UTF-8 characters that begin in each."""
        return character_counts(self.tokenizer)[self.tokens]

    @cached_property
    def nats(self) -> npt.NDArray[np.float64]:
        """[n] nats of each."""
        return self.record.nats[self.index]

    @cached_property
    def bits(self) -> npt.NDArray[np.float64]:
        """[n] bits of each."""
        bits: npt.NDArray[np.float64] = self.nats / np.log(2)
        return bits

    @cached_property
    def sees(self) -> Ints:
        """[n] tokens that each one sees, the end token with which every text begins counted."""
        return self.reading.sees(self.index)

    @cached_property
    def documents(self) -> Ints:
        """[n] the document that each belongs to."""
        return document_of(self.part, self.index)

    @cached_property
    def raw(self) -> bytes:
        """The raw text of the whole part, scored or not."""
        return self.tokenizer.decode(self.part.tokens)

    @cached_property
    def starts(self) -> Ints:
        """[n] where in the raw text the bytes of each begin."""
        sizes = self.tokenizer.byte_lengths[self.part.tokens]
        starts: Ints = np.cumsum(sizes) - sizes
        return starts[self.index]

    @cached_property
    def words(self) -> Ints:
        """[n] words that begin in each."""
        before = np.cumsum(np.append(0, word_starts(self.raw)))
        counts: Ints = before[self.starts + self.sizes] - before[self.starts]
        return counts

    def at_most(self, place: int) -> npt.NDArray[np.bool_]:
        """[n] whether each was among the `place` likeliest."""
        found: npt.NDArray[np.bool_] = self.record.place[self.index] < place
        return found


def word_starts(raw: bytes) -> npt.NDArray[np.bool_]:
    """Which bytes begin a word: a maximal run of bytes that are not ASCII white space."""
    values = np.frombuffer(raw, np.uint8)
    inside = ~np.isin(values, np.frombuffer(WHITE_SPACE, np.uint8))
    inside[1:] &= ~inside[:-1].copy()
    return inside


def character_starts(raw: bytes) -> npt.NDArray[np.bool_]:
    """Which bytes begin a UTF-8 character: those that do not continue another."""
    starts: npt.NDArray[np.bool_] = np.frombuffer(raw, np.uint8) & 0xC0 != 0x80
    return starts


def character_counts(tokenizer: Tokenizer) -> npt.NDArray[np.int64]:
    """How many UTF-8 characters begin in each token [V]."""
    pieces: list[Any] = [tokenizer.decode([token]) for token in range(tokenizer.size)]
    return np.array([int(character_starts(piece).sum()) for piece in pieces], dtype=np.int64)
