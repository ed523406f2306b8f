"""A weighted sum of the means of several arms over seeds: a difference, a main effect, an interaction.

c = sum w_i mean(y_i), weights that sum to 0. Unpaired SE^2 = sum w_i^2 s_i^2 / n_i with Satterthwaite's degrees of freedom,
(SE^2)^2 / sum (w_i^2 s_i^2 / n_i)^2 / (n_i - 1) (Biometrics Bulletin 2, 1946): Welch's test is the case of weights 1 and -1. What the arms
share in a seed, such as the order of the data, cancels in c and not in SE, so that the interval is rather too wide than too narrow.
Paired by seed: Student's t of the sums of each seed.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from assay.statistics.interval import student
from assay.statistics.seeds import Figures, SeedDifference
from assay.statistics.seeds import paired as of_pairs

Terms = Sequence[tuple[float, Figures]]  # the weight of an arm and the figures of its seeds


def contrast(terms: Terms, *, paired: bool) -> SeedDifference:
    """The weighted sum of the means; at least two seeds each, and where `paired` the same ones in the same order."""
    if paired:
        each = [
            sum(weight * figure for (weight, _), figure in zip(terms, row, strict=True)) for row in zip(*(y for _, y in terms), strict=True)
        ]
        return of_pairs(each, [0.0] * len(each))
    parts = [weight**2 * stdev(figures) ** 2 / len(figures) for weight, figures in terms]
    error, difference = math.sqrt(sum(parts)), sum(weight * fmean(figures) for weight, figures in terms)
    freedom = float(sum(len(figures) - 1 for _, figures in terms))
    if error > 0:
        freedom = sum(parts) ** 2 / sum(part**2 / (len(figures) - 1) for part, (_, figures) in zip(parts, terms, strict=True))
    spread = math.sqrt(sum((weight * stdev(figures)) ** 2 for weight, figures in terms))
    return SeedDifference(difference, error, freedom, student(difference, error, freedom), spread, paired=False)
