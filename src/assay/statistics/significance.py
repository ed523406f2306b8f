"""The sign test, and Holm's correction: of twenty comparisons without any difference, one is expected to look significant."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values, in the order given: any true null hypothesis of the family gets one below alpha with probability alpha at most.

    The i-th smallest of m (i from 0) times m - i, never less than the one before it, at most 1. Source: Holm, A simple sequentially
    rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


class SignTest(NamedTuple):
    """Units in which a difference is below 0, above 0 and 0, and how likely so uneven a count is if neither side is better."""

    below: int
    above: int
    equal: int
    p_value: float  # two-sided, exact binomial, ties left out


def sign_test(differences: npt.NDArray[np.float64]) -> SignTest:
    """Test the signs of differences [U], one a unit. It weighs every unit alike, long or short, so it may contradict a ratio of sums."""
    below, above = int(np.count_nonzero(differences < 0)), int(np.count_nonzero(differences > 0))
    count = below + above
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])  # log k!
    chosen = np.arange(min(below, above) + 1)
    tail = np.exp(logs[count] - logs[chosen] - logs[count - chosen] - count * math.log(2)).sum()
    return SignTest(below, above, len(differences) - count, min(1.0, 2 * float(tail)))
