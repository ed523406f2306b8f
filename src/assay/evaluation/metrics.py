"""Compute the metrics of a score, each a ratio of sums over all scored targets, with its standard error over units of text."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from assay.evaluation.readers import Bools, Ints
from assay.evaluation.targets import ScoredTargets

LARGEST_EXPONENT = 700.0  # a perplexity beyond e^700 is no number that a machine holds
BINS = 15  # of the calibration error, of equal width, as in the paper

Floats = npt.NDArray[np.floating[Any]]


class MetricValue(NamedTuple):
    """A number and its standard error; None where the text has none: no word, or one unit, which has no spread."""

    value: float | None
    standard_error: float | None


def compute_metrics(targets: ScoredTargets, unit: Ints) -> dict[str, MetricValue]:
    """Compute every metric, by name; `unit` [n] is the piece of text that each target belongs to."""
    ones, nats, bits = np.ones(len(targets.index)), targets.nats, targets.bits
    per_token, per_word = estimate_ratio(nats, ones, unit), estimate_ratio(nats, targets.words, unit)
    return {
        "bits_per_byte": estimate_ratio(bits, targets.sizes, unit),
        "bits_per_character": estimate_ratio(bits, targets.characters, unit),
        "nats_per_character": estimate_ratio(nats, targets.characters, unit),
        "nats_per_token": per_token,
        "perplexity": _exponentiate(per_token),
        "perplexity_per_word": _exponentiate(per_word),
        "top1_accuracy": estimate_ratio(targets.in_top_k(1), ones, unit),
        "top5_accuracy": estimate_ratio(targets.in_top_k(5), ones, unit),
        "calibration_error": measure_calibration_error(targets, unit),
        "expected_bits_per_byte": estimate_ratio(targets.record.entropy[targets.index] / math.log(2), targets.sizes, unit),
    }


def estimate_ratio(parts: npt.NDArray[Any], sizes: npt.NDArray[Any], unit: Ints) -> MetricValue:
    """Compute R = sum b / sum n over targets, b and n summed by unit for its standard error; None where n is 0 throughout."""
    total = math.fsum(sizes)
    if total == 0:
        return MetricValue(None, None)
    return MetricValue(math.fsum(parts) / total, ratio_standard_error(np.bincount(unit, parts), np.bincount(unit, sizes)))


def ratio_standard_error(parts: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> float | None:
    """Compute the standard error of R = sum b / sum n over K units: sqrt(K / (K - 1) sum (b_u - R n_u)^2) / sum n; None for one unit."""
    units = int((sizes > 0).sum())
    if units < 2:
        return None
    residual = parts - parts.sum() / sizes.sum() * sizes
    return float(np.sqrt(units / (units - 1) * np.square(residual).sum()) / sizes.sum())


def exponentiate(rate: float) -> float:
    """Compute the perplexity e^R, at most the largest that a machine holds."""
    return math.exp(min(LARGEST_EXPONENT, rate))


def _exponentiate(rate: MetricValue) -> MetricValue:
    """Compute e^R; its standard error is e^R times that of R, to first order."""
    if rate.value is None:
        return rate
    value = exponentiate(rate.value)
    return MetricValue(value, None if rate.standard_error is None else value * rate.standard_error)


def measure_calibration_error(targets: ScoredTargets, unit: Ints) -> MetricValue:
    """Measure the expected calibration error (Guo et al., arXiv 1706.04599, section 2): is a model right as often as it says?

    Targets are put into bins by the probability of the likeliest token. In a calibrated model the mean of that probability in a bin is the
    share of targets for which the likeliest token was the right one. The error is the mean of the absolute gaps between the two, bins
    weighted by their targets: a ratio of sums once the sign of each bin's gap is taken as known. A tie for the first place is a miss here.
    """
    confidence = targets.record.confidence[targets.index]
    return estimate_ratio(calibration_gaps(confidence, targets.in_top_k(1)), np.ones(len(targets.index)), unit)


def calibration_gaps(confidence: Floats, hits: Bools) -> npt.NDArray[np.float64]:
    """Return each target's share [n] in the gap of its bin, confidence - hit or the reverse: their mean is the calibration error."""
    bins = _assign_bins(confidence)
    excess = confidence.astype(np.float64) - hits
    sign = np.sign(np.bincount(bins, excess, BINS))
    result: npt.NDArray[np.float64] = sign[bins] * excess
    return result


def make_reliability_table(targets: ScoredTargets) -> list[dict[str, float]]:
    """Return a row for each bin that has targets: its bounds, its targets, their mean confidence and accuracy."""
    confidence, hits = targets.record.confidence[targets.index], targets.in_top_k(1)
    bins = _assign_bins(confidence)
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


def _assign_bins(confidence: Floats) -> Ints:
    """Return the bin [n] of each confidence; a bin holds its upper bound."""
    return np.clip(np.ceil(confidence.astype(np.float64) * BINS).astype(np.int64) - 1, 0, BINS - 1)
