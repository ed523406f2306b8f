"""The words of documents as 64-bit hashes, and runs of words: what tells repeated text apart from new text.

A word is a run of letters, marks and digits of any script, lower-cased; what stands between words is ignored. A script that is written
without spaces has long words. Where bytes are not UTF-8 a word ends. The hash of a word is a sum over its characters of pseudo-random
64-bit numbers, each decided by a character and its place; that of a sequence of words is a polynomial in an odd base modulo 2^64. Two
different words are taken for equal with probability 2^-64, two runs of 13 words with at most 2^-59: among 10^6 runs looked for in
10^8 others one false find is expected in about 6000 texts.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from assay.data.contiguous import character_start

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
CHUNK = 1 << 21  # bytes of text turned into words at a time: bounds the memory
NEARBY = 1 << 12  # bytes in which a longer document is searched for the white space to cut it at
SPACE = re.compile(rb"[ \t\r\n]")
BASE = np.uint64(0xD1342543DE82EF95)  # of the polynomials; 5 modulo 8, so BASE^k - 1 has few factors of two: those of 4 k


class Words(NamedTuple):
    """Words in their order: the hash of each and the number of its document."""

    hashes: Hashes  # [N]
    documents: Numbers  # [N]


def words(documents: Iterable[bytes]) -> Iterator[Words]:
    """The words of all documents, some at a time."""
    texts: list[str] = []
    numbers: list[int] = []
    size = 0
    for number, document in enumerate(documents):
        for piece in pieces(document):
            texts.append(piece.decode("utf-8", "replace").lower())
            numbers.append(number)
            size += len(piece) + 1
            if size >= CHUNK:
                yield _hashed(texts, numbers)
                texts, numbers, size = [], [], 0
    if texts:
        yield _hashed(texts, numbers)


def runs(stream: Iterable[Words], length: int) -> Iterator[Hashes]:
    """The hashes of all runs of `length` words inside one document, in their order."""
    weights = powers(length)
    tail = Words(np.empty(0, np.uint64), np.empty(0, np.int64))
    for more in stream:
        hashes, documents = (np.concatenate(pair) for pair in zip(tail, more, strict=True))
        tail = Words(hashes[-(length - 1) :], documents[-(length - 1) :])
        count = len(hashes) - length + 1
        if count > 0:
            run = np.zeros(count, np.uint64)
            for place in range(length):
                run += hashes[place : place + count] * weights[place]
            yield run[documents[:count] == documents[length - 1 :]]


class DocumentKeys:
    """A hash of all words of each document, made while its words pass by."""

    def __init__(self, documents: int) -> None:
        self.hashes = np.zeros(documents, np.uint64)
        self.counts = np.zeros(documents, np.int64)  # words

    def watching(self, stream: Iterable[Words]) -> Iterator[Words]:
        """The words unchanged."""
        for more in stream:
            self._add(more)
            yield more

    def _add(self, more: Words) -> None:
        """Horner's rule, a whole stretch of words at a time: a document may have begun before."""
        if not len(more.hashes):
            return
        starts = np.flatnonzero(np.diff(more.documents, prepend=-1))
        counts = np.diff(starts, append=len(more.hashes))
        after = np.repeat(starts + counts, counts) - 1 - np.arange(len(more.hashes))
        table = powers(int(counts.max()) + 1)
        which = more.documents[starts]
        self.hashes[which] = self.hashes[which] * table[counts] + np.add.reduceat(more.hashes * table[after], starts)
        self.counts[which] += counts


def pieces(document: bytes) -> Iterator[bytes]:
    """A document in pieces of about `CHUNK` bytes, cut at white space where there is some nearby, never inside a character."""
    start = 0
    while len(document) - start > CHUNK:
        stop = start + CHUNK
        found = SPACE.search(document, stop, stop + NEARBY)
        if found is None and len(document) - stop <= NEARBY:
            break
        stop = found.start() if found else character_start(document, stop)
        yield document[start:stop]
        start = stop
    yield document[start:]


def powers(count: int) -> Hashes:
    """1, BASE, BASE^2, ... modulo 2^64."""
    return np.cumprod(np.concatenate([[np.uint64(1)], np.full(max(count - 1, 0), BASE)]), dtype=np.uint64)[:count]


def mixed(values: Hashes) -> Hashes:
    """Pseudo-random numbers, a different one for each value (splitmix64; Steele, Lea and Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hashed(texts: list[str], numbers: list[int]) -> Words:
    """The words of some lower-cased texts; between two of them a word ends."""
    characters = np.frombuffer("\0".join(texts).encode("utf-32-le"), np.uint32)
    inside = np.concatenate([[False], letters()[characters], [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return Words(np.empty(0, np.uint64), np.empty(0, np.int64))
    kept = characters[inside[1:-1]].astype(np.uint64)
    firsts = np.cumsum(stops - starts) - (stops - starts)
    places = np.arange(len(kept)) - np.repeat(firsts, stops - starts)
    hashes = np.add.reduceat(mixed((places.astype(np.uint64) << np.uint64(21)) + kept + np.uint64(1)), firsts)
    text_starts = np.cumsum([0, *(len(text) + 1 for text in texts[:-1])])
    return Words(mixed(hashes), np.array(numbers)[np.searchsorted(text_starts, starts, side="right") - 1])


@cache
def letters() -> npt.NDArray[np.bool_]:
    """Whether each Unicode character is a letter, a mark or a digit."""
    return np.array([unicodedata.category(chr(code))[0] in "LMN" for code in range(sys.maxunicode + 1)])
