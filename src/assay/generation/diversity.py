"""Measure how varied some texts are, and how different two sets of lengths."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from assay.data.word_hashes import hash_words

ORDERS = (1, 2, 3, 4)  # of distinct-n


def measure_distinct_n(texts: Iterable[Sequence[int]], n: int) -> float | None:
    """Measure distinct-n, the share of distinct n-grams among all in some texts; None where there is none (Li et al., arXiv 1510.03055)."""
    grams = [tuple(text[start : start + n]) for text in texts for start in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def measure_distinct_shares(sides: Sequence[Sequence[Sequence[int]]]) -> list[tuple[float | None, ...]]:
    """Measure distinct-1 to distinct-4 of each side's texts.

    The share falls with the amount of text, so each side's is over its first M items, M as many as the shortest side has.
    """
    shortest = min(sum(map(len, side)) for side in sides)
    return [tuple(measure_distinct_n(_take(side, shortest), n) for n in ORDERS) for side in sides]


def hash_words_by_text(texts: Sequence[bytes]) -> list[list[int]]:
    """Hash the words of each text in lower case; `data.word_hashes` defines what a word is."""
    hashes: list[list[int]] = [[] for _ in texts]
    for chunk in hash_words(texts):
        for word, document in zip(chunk.hashes.tolist(), chunk.documents.tolist(), strict=True):
            hashes[document].append(word)
    return hashes


def kolmogorov_smirnov_distance(left: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """Compute Kolmogorov and Smirnov's D = max |F(x) - G(x)| of two distribution functions: 0 where equal, 1 where all of one is less."""
    a, b = np.sort(left), np.sort(right)
    at = np.concatenate([a, b])
    gaps = np.searchsorted(a, at, side="right") / len(a) - np.searchsorted(b, at, side="right") / len(b)
    return float(np.abs(gaps).max())


def _take(texts: Sequence[Sequence[int]], count: int) -> list[Sequence[int]]:
    """Take the first `count` items of some texts."""
    kept = []
    for text in texts:
        kept.append(text[:count])
        count -= len(kept[-1])
    return kept
