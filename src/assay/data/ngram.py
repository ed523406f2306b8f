"""The byte n-gram: what counting alone reaches, with no learning.

Interpolated Witten-Bell smoothing (Witten and Bell 1991; the method C of Moffat's PPMC, in the form of Chen and Goodman 1998):

    p(x | h) = (c(h x) + N1+(h .) p(x | h')) / (c(h) + N1+(h .)),    p(x | nothing seen) = 1 / 256

h is the bytes before x, at most `order` of them; h' is h without its first byte; c counts in the training text; N1+(h .) is how many
different bytes follow h there. A context that training does not have leaves p to h'. Order 0 is the frequencies of single bytes. The
bytes before the beginning of a text are newlines. Each text is read as one stream, so a context reaches over the end of a document,
as it does in a model whose windows are not masked.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int32]
CHUNK = 1 << 23  # windows sorted at a time: bounds the memory by the different ones


class Grams(NamedTuple):
    """Different n-grams, sorted, the byte that follows the context lowest, and how often each occurs."""

    keys: Integers
    counts: Counts


def bits_by_order(training: bytes, text: bytes, order: int) -> list[float]:
    """The bits of all of `text` under the n-grams of 0, 1, ... `order` bytes of context, counted in `training`, less than 2^31 bytes.

    At most 7: a context and the byte after it are packed into 64 bits.
    """
    asked = count(text, order + 1)
    table = count(training, order + 1)
    seen = [looked_up(table, asked.keys)]
    for length in range(order, 0, -1):
        table = shortened(table, length)
        seen.append(looked_up(table, asked.keys & np.uint64(256**length - 1)))
    chance = np.full(len(asked.keys), 1 / 256)
    bits = []
    for joint, context, followers in reversed(seen):
        known = context > 0
        chance[known] = (joint[known] + followers[known] * chance[known]) / (context[known] + followers[known])
        bits.append(-float(np.dot(asked.counts, np.log2(chance))))
    return bits


def count(text: bytes, length: int) -> Grams:
    """The n-grams of `length` bytes that end at each byte of a text before which there are newlines."""
    padded = np.frombuffer(b"\n" * (length - 1) + text, np.uint8)
    grams = Grams(np.empty(0, np.uint64), np.empty(0, np.int32))
    for start in range(0, len(text), CHUNK):
        size = min(CHUNK, len(text) - start)
        windows = np.zeros(size, np.uint64)
        for place in range(start, start + length):
            windows <<= np.uint64(8)
            windows |= padded[place : place + size]
        windows.sort()
        first = _firsts(windows)
        grams = _merged(grams, Grams(windows[first], np.diff(first, append=size).astype(np.int32)))
    return grams


def shortened(grams: Grams, length: int) -> Grams:
    """The n-grams of the last `length` bytes of longer ones."""
    return _added_up(grams.keys & np.uint64(256**length - 1), grams.counts)


def looked_up(table: Grams, asked: Integers) -> tuple[Counts, Counts, Counts]:
    """For each n-gram h x that is asked for: c(h x), c(h) and N1+(h .) of the table."""
    joint = _found(table.keys, table.counts, asked)
    contexts = table.keys >> np.uint64(8)
    first = _firsts(contexts)
    contexts, before = contexts[first], asked >> np.uint64(8)
    followers = np.diff(first, append=len(table.keys)).astype(np.int32)
    return joint, _found(contexts, _sums(table.counts, first), before), _found(contexts, followers, before)


def _found(keys: Integers, values: Counts, asked: Integers) -> Counts:
    """The value of each key that is asked for; 0 for one that is not there."""
    if not len(keys):
        return np.zeros(len(asked), np.int32)
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], np.int32(0))


def _firsts(keys: Integers) -> npt.NDArray[np.intp]:
    """Where each different key of a sorted array begins."""
    return np.flatnonzero(np.concatenate([[True] * (len(keys) > 0), keys[1:] != keys[:-1]]))


def _merged(left: Grams, right: Grams) -> Grams:
    return _added_up(np.concatenate([left.keys, right.keys]), np.concatenate([left.counts, right.counts]))


def _added_up(keys: Integers, counts: Counts) -> Grams:
    """Sorted, equal keys made one, their counts added."""
    order = np.argsort(keys, kind="stable")  # which is fast on sorted runs
    keys, counts = keys[order], counts[order]
    first = _firsts(keys)
    return Grams(keys[first], _sums(counts, first))


def _sums(counts: Counts, first: npt.NDArray[np.intp]) -> Counts:
    """The sum of the counts from each place to the next."""
    return np.add.reduceat(counts, first, dtype=np.int32) if len(first) else counts
