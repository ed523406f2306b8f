"""Two arms alone, compared over their seeds."""

from collections.abc import Mapping

from assay.statistics.seed_noise import SeedNoise
from assay.statistics.seeds import SeedDifference, estimate_contrast


def compare_two(a: Mapping[object, float], b: Mapping[object, float], *, paired: bool) -> SeedDifference:
    """mean(a) - mean(b): by Student's t of the differences of equal seeds, or unpaired after Welch."""
    return estimate_contrast(SeedNoise([a, b], blocked=paired), {0: 1.0, 1: -1.0})
