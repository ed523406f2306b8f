"""Several comparisons at once: of twenty that differ in nothing, one is expected to look significant."""

from collections.abc import Sequence


def holm(probabilities: Sequence[float]) -> list[float]:
    """Adjusted probabilities, in the order given: below alpha for any true null hypothesis of the family with probability alpha at most.

    The i-th smallest of m (i from 0) times m - i, never less than the one before it, at most 1. Source: Holm, A simple sequentially
    rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted, largest = [0.0] * len(probabilities), 0.0
    for rank, index in enumerate(sorted(range(len(probabilities)), key=probabilities.__getitem__)):
        largest = max(largest, min(1.0, probabilities[index] * (len(probabilities) - rank)))
        adjusted[index] = largest
    return adjusted
