"""Find the longest span that each of some texts shares with a training text, exact to the byte.

Whether a window of one length occurs in the training text is checked by hashes: h(i) = sum_j v(t[i+j]) B^j modulo 2^64, v a pseudo-random
number for each byte, for all i from one cumulative sum. Lengths are tried from the longest down; at the first one at which a text matches
the training text, all matches are compared byte by byte and extended. So neither the steps between the lengths nor a collision of
hashes changes the answer.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from assay.data.word_hashes import BASE, Hashes, Numbers, mix_bits, powers

Bytes = npt.NDArray[np.uint8]
CHUNK = 1 << 22  # windows of the training text, and matches, processed together: bounds the memory
GROWTH = 1.5  # from one length that is tried to the next
TABLE_BITS = 22  # of a hash, which rule out most windows at once
VALUES = mix_bits(np.arange(1, 257, dtype=np.uint64))  # [256] v


class SharedSpan(NamedTuple):
    """The longest stretch of bytes that a text shares with the training text; the first one of several equally long."""

    length: int  # bytes
    training_start: int  # where it begins in the training text, in bytes
    text_start: int  # where it begins in the text itself, in bytes


def find_longest_shared_spans(texts: Sequence[bytes], training: bytes) -> list[SharedSpan]:
    """Find the longest span of each text that occurs in `training`; of no length where none does."""
    sizes = np.array([len(text) for text in texts], dtype=np.int64)
    ends = np.cumsum(sizes)
    joined, corpus = np.frombuffer(b"".join(texts), np.uint8), np.frombuffer(training, np.uint8)
    text_of = np.repeat(np.arange(len(texts)), sizes)  # the text of each byte
    spans = [SharedSpan(0, 0, 0)] * len(texts)
    for length in _list_lengths(int(sizes.max(initial=0))):
        shorter = np.array([span.length < length for span in spans])  # a longer span would have been found before
        windows = np.flatnonzero(shorter[text_of] & (ends[text_of] - np.arange(len(text_of)) >= length))
        for starts, places in _find_matches(joined, windows, corpus, length):
            shared = _measure_shared(joined, starts, ends[text_of[starts]], corpus, places)
            best = np.lexsort((starts, places, -shared, text_of[starts]))
            for pair in best[np.unique(text_of[starts[best]], return_index=True)[1]].tolist():
                number = int(text_of[starts[pair]])
                span = SharedSpan(int(shared[pair]), int(places[pair]), int(starts[pair] - ends[number] + sizes[number]))
                spans[number] = min(spans[number], span, key=lambda s: (-s.length, s.training_start, s.text_start))
    return spans


def _list_lengths(longest: int) -> list[int]:
    """List the lengths that are tried, the longest first, down to one byte."""
    lengths = [1] if longest else []
    while lengths and lengths[-1] < longest:
        lengths.append(min(longest, max(lengths[-1] + 1, int(lengths[-1] * GROWTH))))
    return lengths[::-1]


def _find_matches(joined: Bytes, windows: Numbers, corpus: Bytes, length: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Find where windows of `joined` have the hash of a window of `corpus`: the beginnings of both, some at a time."""
    if not len(windows):
        return
    hashes = hash_windows(joined, length)[windows]
    order = np.argsort(hashes, kind="stable")
    hashes, windows = hashes[order], windows[order]
    table = np.zeros(1 << TABLE_BITS, np.bool_)
    table[hashes >> np.uint64(64 - TABLE_BITS)] = True
    for begin in range(0, max(len(corpus) - length + 1, 0), CHUNK):
        there = hash_windows(corpus[begin : begin + CHUNK + length - 1], length)
        likely = np.flatnonzero(table[there >> np.uint64(64 - TABLE_BITS)])
        first, stop = (np.searchsorted(hashes, there[likely], side) for side in ("left", "right"))
        matched = np.flatnonzero(stop > first)
        for some in np.array_split(matched, 1 + int((stop - first).sum()) // CHUNK):
            counts = (stop - first)[some]
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            if len(within):
                yield windows[np.repeat(first[some], counts) + within], np.repeat(begin + likely[some], counts)


def hash_windows(text: Bytes, length: int) -> Hashes:
    """Hash every window of `length` bytes, by its beginning."""
    if len(text) < length:
        return np.empty(0, np.uint64)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(VALUES[text] * powers(len(text)), dtype=np.uint64)])
    windows = sums[length:] - sums[:-length]  # B^i h(i)
    inverse = np.uint64(pow(int(BASE), -1, 1 << 64))
    hashes: Hashes = windows * np.cumprod(np.concatenate([[np.uint64(1)], np.full(len(windows) - 1, inverse)]), dtype=np.uint64)
    return hashes


def _measure_shared(joined: Bytes, starts: Numbers, ends: Numbers, corpus: Bytes, places: Numbers) -> Numbers:
    """Count how many bytes agree from each pair of beginnings on, as far as the text of `joined` goes."""
    room = np.minimum(ends - starts, len(corpus) - places)
    shared = np.zeros(len(starts), np.int64)
    alive = np.flatnonzero(room > 0)
    while len(alive):
        alive = alive[joined[starts[alive] + shared[alive]] == corpus[places[alive] + shared[alive]]]
        shared[alive] += 1
        alive = alive[shared[alive] < room[alive]]
    return shared
