"""Turn logits into integer counts that a coder can divide its range by, the same ones on every machine.

Float arithmetic differs in its last bits between processors and versions of libraries, and one different probability would spoil all that
is decoded after it. So the logits z are computed in float64 and rounded to a grid, q = round(64 z), and from there on all is integers:

    w_i = table[max q - q_i],  table[d] = round(2^30 exp(-d / 64));    c_i = floor(w_i (2^24 - V) / sum w) + 1

the rest of 2^24 going to the likeliest token. A token costs 24 - log2 c bits. No c is 0, so every text can be coded. The loss is small: the
grid costs about (1/64)^2 / 24 = 1e-5 nats a token, the floor of 1 about V 2^-24 / ln 2 bits (2e-4 for V = 2,048).
"""

import numpy as np
import numpy.typing as npt

from assay.errors import AssayError

Ints = npt.NDArray[np.int64]
PRECISION = 24  # bits: what constriction divides its range into
GRID = 64  # steps a nat
HEAVIEST = 1 << 30  # the likeliest token's weight; times 2^24 it stays below 2^63
TABLE = np.rint(HEAVIEST * np.exp(-np.arange(30 * GRID) / GRID)).astype(np.int64)  # its end is 0


def quantize_logits(logits: npt.NDArray[np.float64]) -> Ints:
    """Turn logits [L, V] into counts [L, V], at least 1 each, each row with the sum 2^24. Raises AssayError if they are not finite."""
    if not np.isfinite(logits).all():
        raise AssayError("the model gives logits that are not finite, so it cannot compress; take an earlier checkpoint (--checkpoint)")
    rounded = np.rint(logits * GRID)
    distance = np.minimum(rounded.max(-1, keepdims=True) - rounded, len(TABLE) - 1).astype(np.int64)
    weight = TABLE[distance]
    shared = (1 << PRECISION) - logits.shape[-1]
    count: Ints = weight * shared // weight.sum(-1, keepdims=True) + 1
    count[np.arange(len(count)), distance.argmin(-1)] += (1 << PRECISION) - count.sum(-1)
    return count


def total_bits(count: Ints) -> float:
    """Compute the bits that tokens of these counts cost together."""
    return float((PRECISION - np.log2(count)).sum())


def token_ranks(count: Ints, tokens: Ints) -> Ints:
    """Count the tokens that are likelier than each given one, of [L, V] and [L] -> [L]; of equal ones the lower id is likelier."""
    own = np.take_along_axis(count, tokens[:, None], -1)
    before = np.arange(count.shape[-1]) < tokens[:, None]
    ranks: Ints = ((count > own) | ((count == own) & before)).sum(-1)
    return ranks
