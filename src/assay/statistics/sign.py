"""The sign test: in how many units each side is better, and how likely so uneven a count is if neither is."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class SignTest(NamedTuple):
    """Units in which a difference is below 0, above 0 and 0; `probability`: two-sided, exact binomial, ties left out."""

    below: int
    above: int
    equal: int
    probability: float


def sign_test(differences: npt.NDArray[np.float64]) -> SignTest:
    """The sign test of one difference a unit. It weighs every unit alike, long or short, so it may contradict a ratio of sums."""
    below, above = int(np.count_nonzero(differences < 0)), int(np.count_nonzero(differences > 0))
    count = below + above
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])  # log k!
    chosen = np.arange(min(below, above) + 1)
    tail = np.exp(logs[count] - logs[chosen] - logs[count - chosen] - count * math.log(2)).sum()
    return SignTest(below, above, len(differences) - count, min(1.0, 2 * float(tail)))
