"""The headline figures of a score, each a ratio of sums over all scored targets, with its standard error over units of text."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from assay.evaluation.calibration import gaps
from assay.evaluation.reading import Ints
from assay.evaluation.targets import Targets

LARGEST_EXPONENT = 700.0  # a perplexity beyond e^700 is no number that a machine holds


class Figure(NamedTuple):
    """A number and its standard error."""

    value: float
    standard_error: float


def figures(targets: Targets, unit: Ints) -> dict[str, Figure]:
    """Every headline figure by its name; `unit` [n] is the piece of text that each target belongs to."""
    ones, nats, bits = np.ones(len(targets.index)), targets.nats, targets.bits
    per_token, per_word = ratio(nats, ones, unit), ratio(nats, targets.words, unit)
    return {
        "bits_per_byte": ratio(bits, targets.sizes, unit),
        "bits_per_character": ratio(bits, targets.characters, unit),
        "nats_per_character": ratio(nats, targets.characters, unit),
        "nats_per_token": per_token,
        "perplexity": _exponential(per_token),
        "perplexity_per_word": _exponential(per_word),
        "top1_accuracy": ratio(targets.at_most(1), ones, unit),
        "top5_accuracy": ratio(targets.at_most(5), ones, unit),
        "calibration_error": calibration_error(targets, unit),
        "expected_bits_per_byte": ratio(targets.record.entropy[targets.index] / math.log(2), targets.sizes, unit),
    }


def calibration_error(targets: Targets, unit: Ints) -> Figure:
    """The expected calibration error, a ratio of sums once the sign of each bin's gap is taken as known."""
    return ratio(gaps(targets.record.confidence[targets.index], targets.at_most(1)), np.ones(len(targets.index)), unit)


def ratio(parts: npt.NDArray[Any], sizes: npt.NDArray[Any], unit: Ints) -> Figure:
    """R = sum b / sum n over targets, b and n summed by unit for its standard error; not a number where n is 0 throughout."""
    total = math.fsum(sizes)
    if total == 0:
        return Figure(math.nan, math.nan)
    return Figure(math.fsum(parts) / total, standard_error(np.bincount(unit, parts), np.bincount(unit, sizes)))


def standard_error(parts: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> float:
    """The standard error of R = sum b / sum n over K units: sqrt(K / (K - 1) sum (b_u - R n_u)^2) / sum n; 0 for one unit."""
    units = int((sizes > 0).sum())
    if units < 2:
        return 0.0
    residual = parts - parts.sum() / sizes.sum() * sizes
    return float(np.sqrt(units / (units - 1) * np.square(residual).sum()) / sizes.sum())


def _exponential(rate: Figure) -> Figure:
    """e^R; its standard error is e^R times that of R, to first order."""
    if math.isnan(rate.value):
        return rate
    value = math.exp(min(LARGEST_EXPONENT, rate.value))
    return Figure(value, value * rate.standard_error)
