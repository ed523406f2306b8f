"""Calibration: is a model right as often as it says? (Guo et al., arXiv 1706.04599, section 2)

Targets are put into bins by the probability that the model gives to the token it holds likeliest. In a calibrated model the mean of that
probability in a bin is the share of targets for which the likeliest token was the right one. The expected calibration error is the mean of
the absolute gaps between the two, bins weighted by their targets. Ours counts a tie for the first place as a miss.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from assay.evaluation.reading import Ints
from assay.evaluation.targets import Targets

BINS = 15  # of equal width, as in the paper
Floats = npt.NDArray[np.floating[Any]]


def reliability(targets: Targets) -> list[dict[str, float]]:
    """The reliability table: of each bin that has targets its bounds, its targets, the mean confidence and the accuracy."""
    confidence, hits = targets.record.confidence[targets.index], targets.at_most(1)
    bins = _bins(confidence)
    counts = np.bincount(bins, minlength=BINS)
    means, shares = (np.bincount(bins, values, BINS) / np.maximum(counts, 1) for values in (confidence, hits))
    return [
        {
            "from": index / BINS,
            "to": (index + 1) / BINS,
            "tokens": int(counts[index]),
            "confidence": float(means[index]),
            "accuracy": float(shares[index]),
        }
        for index in np.nonzero(counts)[0].tolist()
    ]


def gaps(confidence: Floats, hits: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """[n] of each target its share in the gap of its bin, confidence - hit or the reverse: their mean is the expected calibration error."""
    bins = _bins(confidence)
    excess = confidence.astype(np.float64) - hits
    sign = np.sign(np.bincount(bins, excess, BINS))
    result: npt.NDArray[np.float64] = sign[bins] * excess
    return result


def _bins(confidence: Floats) -> Ints:
    """[n] the bin of each; a bin holds its upper bound."""
    return np.clip(np.ceil(confidence.astype(np.float64) * BINS).astype(np.int64) - 1, 0, BINS - 1)
