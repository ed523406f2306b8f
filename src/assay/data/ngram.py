"""Measure the bits of a text under a byte n-gram, a model that only counts.

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


class NgramCounts(NamedTuple):
    """Different n-grams, sorted, the byte that follows the context lowest, and how often each occurs."""

    keys: Integers
    counts: Counts


class ContextCounts(NamedTuple):
    """Counts of the training text for n-grams h x, a context h and the byte x after it."""

    joint: Counts  # c(h x)
    context: Counts  # c(h)
    followers: Counts  # N1+(h .), the different bytes after h


def measure_ngram_bits(training: bytes, text: bytes, order: int) -> list[float]:
    """Measure the bits of `text` under the n-grams of 0, 1, ... `order` bytes of context, counted in `training` (below 2^31 bytes).

    The order is at most 7: a context and the byte after it are packed into 64 bits.
    """
    ngrams = count_ngrams(text, order + 1)
    table = count_ngrams(training, order + 1)
    seen = [look_up_counts(table, ngrams.keys)]
    for length in range(order, 0, -1):
        table = _count_keys(_last_bytes(table.keys, length), table.counts)
        seen.append(look_up_counts(table, _last_bytes(ngrams.keys, length)))
    chance = np.full(len(ngrams.keys), 1 / 256)
    bits = []
    for joint, context, followers in reversed(seen):
        known = context > 0
        chance[known] = (joint[known] + followers[known] * chance[known]) / (context[known] + followers[known])
        bits.append(-float(np.dot(ngrams.counts, np.log2(chance))))
    return bits


def count_ngrams(text: bytes, length: int) -> NgramCounts:
    """Count the n-grams of `length` bytes that end at each byte of a text, with newlines before its beginning."""
    padded = np.frombuffer(b"\n" * (length - 1) + text, np.uint8)
    ngrams = NgramCounts(np.empty(0, np.uint64), np.empty(0, np.int32))
    for start in range(0, len(text), CHUNK):
        size = min(CHUNK, len(text) - start)
        windows = np.zeros(size, np.uint64)
        for place in range(start, start + length):
            windows <<= np.uint64(8)
            windows |= padded[place : place + size]
        windows.sort()
        first = _group_starts(windows)
        counts = np.diff(first, append=size).astype(np.int32)
        ngrams = _count_keys(np.concatenate([ngrams.keys, windows[first]]), np.concatenate([ngrams.counts, counts]))
    return ngrams


def look_up_counts(table: NgramCounts, ngrams: Integers) -> ContextCounts:
    """Look up c(h x), c(h) and N1+(h .) in a table, for each n-gram h x."""
    joint = _look_up(table.keys, table.counts, ngrams)
    contexts = table.keys >> np.uint64(8)
    first = _group_starts(contexts)
    contexts, before = contexts[first], ngrams >> np.uint64(8)
    followers = np.diff(first, append=len(table.keys)).astype(np.int32)
    return ContextCounts(joint, _look_up(contexts, _group_sums(table.counts, first), before), _look_up(contexts, followers, before))


def _look_up(keys: Integers, values: Counts, wanted: Integers) -> Counts:
    """Look up the value of each wanted key in a sorted table; 0 for an unknown one."""
    if not len(keys):
        return np.zeros(len(wanted), np.int32)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], np.int32(0))


def _group_starts(keys: Integers) -> npt.NDArray[np.intp]:
    """Find where each different key of a sorted array begins."""
    return np.flatnonzero(np.concatenate([[True] * (len(keys) > 0), keys[1:] != keys[:-1]]))


def _last_bytes(keys: Integers, length: int) -> Integers:
    """Cut out the n-grams of the last `length` bytes of longer ones."""
    return keys & np.uint64(256**length - 1)


def _count_keys(keys: Integers, counts: Counts) -> NgramCounts:
    """Sort keys and add up the counts of equal ones."""
    order = np.argsort(keys, kind="stable")  # which is fast on sorted runs
    keys, counts = keys[order], counts[order]
    first = _group_starts(keys)
    return NgramCounts(keys[first], _group_sums(counts, first))


def _group_sums(counts: Counts, first: npt.NDArray[np.intp]) -> Counts:
    """Add up the counts from each group's start to the next."""
    return np.add.reduceat(counts, first, dtype=np.int32) if len(first) else counts
