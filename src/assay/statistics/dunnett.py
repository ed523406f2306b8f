"""Many comparisons with one base at once: the largest of them has to be unlikely, not each (Dunnett, JASA 50, 1955).

All comparisons share the base's noise, so their statistics are correlated: corr(i, j) = sqrt(share_i share_j), with `share` the part of a
comparison's variance that is the base's. With Z_i = sqrt(share_i) Z_0 + sqrt(1 - share_i) e_i, all normal,

    P(max |Z_i| > q) = 1 - E over Z_0 of prod_i P(|Z_i| <= q given Z_0).

Ours differs: a p-value of Student's t with its own degrees of freedom is first turned into the q of a normal distribution, so that
comparisons with unlike degrees of freedom can stand in one family.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(41)  # of the expectation over Z_0
SMALLEST = 1e-300


def adjust_for_base(p_values: Sequence[float], base_shares: Sequence[float]) -> list[float]:
    """Adjust two-sided p-values: the probability that any comparison of the family is as far out if none differs from the base."""
    points = -special.ndtri(np.maximum(np.asarray(p_values), SMALLEST) / 2)
    return [max(p, _probability_beyond(point, np.asarray(base_shares))) for p, point in zip(p_values, points, strict=True)]


def single_level(level: float, base_shares: Sequence[float]) -> float:
    """Find the p-value of a single comparison at which its adjusted one is 1 - `level`: that of simultaneous intervals."""
    low, high, shares = 0.0, -special.ndtri((1 - level) / 2 / max(1, len(base_shares))), np.asarray(base_shares)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _probability_beyond(middle, shares) > 1 - level else (low, middle)
    return float(2 * special.ndtr(-high))


def _probability_beyond(point: float, shares: Floats) -> float:
    common, own = np.sqrt(shares)[:, None] * NODES, np.sqrt(np.maximum(1 - shares, 1e-12))[:, None]  # [C, nodes], [C, 1]
    within = special.ndtr((point - common) / own) - special.ndtr((-point - common) / own)
    everywhere = np.exp(np.log(np.maximum(within, SMALLEST)).sum(axis=0))
    return float(min(1.0, max(0.0, 1 - everywhere @ WEIGHTS / WEIGHTS.sum())))
