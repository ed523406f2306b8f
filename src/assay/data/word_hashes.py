"""Hash the words of documents, and runs of words, to 64 bits, so that repeated text is recognised.

A word is a run of letters, marks and digits of any script, lower-cased; everything between words is ignored. A script that is written
without spaces has long words. Where bytes are not UTF-8 a word ends. The hash of a word is a sum over its characters of pseudo-random
64-bit numbers, each decided by a character and its place; that of a sequence of words is a polynomial in an odd base modulo 2^64. Two
different words have equal hashes with probability 2^-64, two runs of 13 words with at most 2^-59: where 10^6 runs are looked up among
10^8 others, one false match is expected in about 6000 texts.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from assay.text.chunks import gather_batches
from assay.text.utf8 import character_start, code_points

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
CHUNK = 1 << 21  # bytes of text turned into words at a time: bounds the memory
NEARBY = 1 << 12  # bytes in which a longer document is searched for the white space to cut it at
SPACE = re.compile(rb"[ \t\r\n]")
BASE = np.uint64(0xD1342543DE82EF95)  # of the polynomials; 5 modulo 8, so BASE^k - 1 has few factors of two: those of 4 k


class HashedWords(NamedTuple):
    """Words in their order: the hash of each and the number of its document."""

    hashes: Hashes  # [N]
    documents: Numbers  # [N]


def hash_words(documents: Iterable[bytes]) -> Iterator[HashedWords]:
    """Hash the words of all documents, about `CHUNK` bytes of text at a time."""
    pieces = ((number, piece) for number, document in enumerate(documents) for piece in split_pieces(document))
    for batch in gather_batches(pieces, lambda item: len(item[1]) + 1, CHUNK):
        yield _hash_texts([piece.decode("utf-8", "replace").lower() for _, piece in batch], [number for number, _ in batch])


def hash_ngrams(words: Iterable[HashedWords], length: int) -> Iterator[Hashes]:
    """Hash all runs of `length` words inside one document, in their order."""
    weights = powers(length)
    tail = HashedWords(np.empty(0, np.uint64), np.empty(0, np.int64))
    for more in words:
        hashes, documents = (np.concatenate(pair) for pair in zip(tail, more, strict=True))
        tail = HashedWords(hashes[-(length - 1) :], documents[-(length - 1) :])
        count = len(hashes) - length + 1
        if count > 0:
            run = np.zeros(count, np.uint64)
            for place in range(length):
                run += hashes[place : place + count] * weights[place]
            yield run[documents[:count] == documents[length - 1 :]]


class DocumentHashes:
    """One hash for all words of each document, computed while its words are read."""

    def __init__(self, documents: int) -> None:
        self.hashes = np.zeros(documents, np.uint64)
        self.counts = np.zeros(documents, np.int64)  # words

    def record(self, stream: Iterable[HashedWords]) -> Iterator[HashedWords]:
        """Add words to the hashes and pass them on."""
        for more in stream:
            self._add(more)
            yield more

    def _add(self, more: HashedWords) -> None:
        """Add words by Horner's rule; the first document may have begun in an earlier chunk."""
        if not len(more.hashes):
            return
        starts = np.flatnonzero(np.diff(more.documents, prepend=-1))
        counts = np.diff(starts, append=len(more.hashes))
        after = np.repeat(starts + counts, counts) - 1 - np.arange(len(more.hashes))
        table = powers(int(counts.max()) + 1)
        which = more.documents[starts]
        self.hashes[which] = self.hashes[which] * table[counts] + np.add.reduceat(more.hashes * table[after], starts)
        self.counts[which] += counts


def split_pieces(document: bytes) -> Iterator[bytes]:
    """Split a document into pieces of about `CHUNK` bytes, at white space where there is some nearby, never inside a character."""
    start = 0
    while len(document) - start > CHUNK:
        stop = start + CHUNK
        space = SPACE.search(document, stop, stop + NEARBY)
        if space is None and len(document) - stop <= NEARBY:
            break
        stop = space.start() if space else character_start(document, stop)
        yield document[start:stop]
        start = stop
    yield document[start:]


def powers(count: int) -> Hashes:
    """Compute [count] 1, BASE, BASE^2, ... modulo 2^64."""
    return np.cumprod(np.concatenate([[np.uint64(1)], np.full(max(count - 1, 0), BASE)]), dtype=np.uint64)[:count]


def mix_bits(values: Hashes) -> Hashes:
    """Map each value to a pseudo-random number of its own (splitmix64; Steele, Lea and Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hash_texts(texts: list[str], numbers: list[int]) -> HashedWords:
    """Hash the words of lower-cased texts; a word ends with its text."""
    characters = code_points("\0".join(texts))
    inside = np.concatenate([[False], word_characters()[characters], [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return HashedWords(np.empty(0, np.uint64), np.empty(0, np.int64))
    kept = characters[inside[1:-1]].astype(np.uint64)
    firsts = np.cumsum(stops - starts) - (stops - starts)
    places = np.arange(len(kept)) - np.repeat(firsts, stops - starts)
    hashes = np.add.reduceat(mix_bits((places.astype(np.uint64) << np.uint64(21)) + kept + np.uint64(1)), firsts)
    text_starts = np.cumsum([0, *(len(text) + 1 for text in texts[:-1])])
    return HashedWords(mix_bits(hashes), np.array(numbers)[np.searchsorted(text_starts, starts, side="right") - 1])


@cache
def word_characters() -> npt.NDArray[np.bool_]:
    """Whether each Unicode character is a letter, a mark or a digit."""
    return np.array([unicodedata.category(chr(code))[0] in "LMN" for code in range(sys.maxunicode + 1)])
