"""How varied some texts are, and how far apart two sets of lengths."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from assay.data.words import words

ORDERS = (1, 2, 3, 4)  # of distinct-n


def distinct(texts: Iterable[Sequence[int]], n: int) -> float:
    """distinct-n: how many of all n-grams inside texts differ, as a share; 0 where there is none (Li et al., arXiv 1510.03055)."""
    grams = [tuple(text[start : start + n]) for text in texts for start in range(len(text) - n + 1)]
    return len(set(grams)) / max(1, len(grams))


def distinct_shares(sides: Sequence[Sequence[Sequence[int]]]) -> list[tuple[float, ...]]:
    """distinct-1 to distinct-4 of each side's texts.

    The share falls with the amount of text, so each side's is over its first M items, M as many as the shortest side has.
    """
    shortest = min(sum(map(len, side)) for side in sides)
    return [tuple(distinct(_first(side, shortest), n) for n in ORDERS) for side in sides]


def words_of(texts: Sequence[bytes]) -> list[list[int]]:
    """The words of each text, as hashes of their lower case; what a word is, `data.words` says."""
    found: list[list[int]] = [[] for _ in texts]
    for some in words(texts):
        for word, document in zip(some.hashes.tolist(), some.documents.tolist(), strict=True):
            found[document].append(word)
    return found


def distance(left: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """Kolmogorov and Smirnov's D = max |F(x) - G(x)| of two samples' distribution functions: 0 where equal, 1 where all of one is less."""
    a, b = np.sort(left), np.sort(right)
    at = np.concatenate([a, b])
    apart = np.searchsorted(a, at, side="right") / len(a) - np.searchsorted(b, at, side="right") / len(b)
    return float(np.abs(apart).max())


def _first(texts: Sequence[Sequence[int]], count: int) -> list[Sequence[int]]:
    """The first `count` items of some texts."""
    kept = []
    for text in texts:
        kept.append(text[:count])
        count -= len(kept[-1])
    return kept
