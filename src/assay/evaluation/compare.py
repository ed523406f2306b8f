"""Compare bits per byte, paired over the same units of the same text.

With d_u = b_u^A - b_u^B bits and n_u bytes in unit u the difference is sum d / sum n, its standard error that of a ratio, its interval
by paired bootstrap of units. Bytes are common to all tokenizers, so a model of words and one of bytes can be compared. This is the
uncertainty of the choice of text; that of the seed is separate and needs several runs of an arm. Chunks of a contiguous text are merged
into blocks long enough to be nearly independent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from assay.core.seeds import numpy_generator
from assay.core.trees import Tree
from assay.errors import UserError
from assay.evaluation.comparability import refuse_unequal
from assay.evaluation.metrics import ratio_standard_error
from assay.evaluation.stored import StoredScore
from assay.evaluation.targets import choose_block_bytes
from assay.statistics.bootstrap import effective_units, percentile_interval, resample_ratios
from assay.statistics.interval import Interval, t_interval, units_needed
from assay.statistics.seed_noise import SeedNoise
from assay.statistics.seeds import AdjustedDifference, SeedDifference, compare_pairs, estimate_contrast
from assay.statistics.significance import SignTest, holm, sign_test

DRAWS = 10_000
DRAWS_PER_COMPARISON = 200  # so that the least probability that draws can show, times the comparisons, stays well below 5 %
MIN_UNITS = 10  # fewer are not resampled: their draws are too much alike

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Arm:
    """One side of a comparison: the runs of one configuration, which differ in the seed."""

    name: str
    runs: tuple[StoredScore, ...]

    @property
    def bits_per_byte(self) -> list[float]:
        """Bits per byte of each seed."""
        return [run.bits_per_byte for run in self.runs]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return fmean(self.bits_per_byte)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds; None for one."""
        return stdev(self.bits_per_byte) if len(self.runs) > 1 else None

    @property
    def median_run(self) -> StoredScore:
        """The run in the middle, the better of two."""
        return sorted(self.runs, key=lambda run: run.bits_per_byte)[(len(self.runs) - 1) // 2]

    @property
    def seeds(self) -> list[int | None]:
        """The seed of each run."""
        return [run.config.get("train", {}).get("seed") for run in self.runs]


@dataclass(frozen=True, slots=True)
class TextDifference:
    """The difference of two runs over units of text."""

    difference: float
    standard_error: float
    unpaired_standard_error: float  # the standard error that two separate texts of this kind would give
    interval: Interval
    adjusted_p_value: float  # probability after Holm, over all comparisons made at once
    sign_test: SignTest  # below: units in which the first is better
    units_needed: int | None  # units that would find a difference of this size


@dataclass(frozen=True, slots=True)
class SeedComparison:
    """The difference of two means over seeds: a finding where both arms have several, else a rank."""

    difference: float
    finding: AdjustedDifference | None  # None where an arm has one run
    rank: SeedDifference | None = None  # of a single run: what the seeds of the other arms would make of it, where any has several


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """The differences of two arms."""

    pair: tuple[int, int]  # their numbers in the list of arms
    text: TextDifference  # of the median seeds
    seeds: SeedComparison


@dataclass(frozen=True, slots=True)
class Units:
    """What is resampled: documents, or blocks of a contiguous text."""

    kind: Literal["documents", "blocks"]
    sizes: Floats  # [U] bytes
    bits: Floats  # [U, R] of each run
    block_bytes: int | None = None  # of a block at least

    def to_dict(self) -> Tree:
        """As plain values."""
        tree = {"kind": self.kind, "count": len(self.sizes)}
        return tree if self.block_bytes is None else {**tree, "block_bytes": self.block_bytes}

    def describe(self) -> str:
        """Describe them for people: `31 blocks of 65,536 bytes`."""
        return f"{len(self.sizes):,} {self.kind}" + (f" of {self.block_bytes:,} bytes" if self.block_bytes is not None else "")


def compare_arms(arms: Sequence[Arm], *, all_pairs: bool = False) -> tuple[Units, list[ArmComparison]]:
    """Compare the first arm with each other one, or all pairs. Raises UserError where the scores are not of the same text."""
    refuse_unequal([run for arm in arms for run in arm.runs])
    units = make_units([arm.median_run for arm in arms])
    pairs = [pair for pair in combinations(range(len(arms)), 2) if all_pairs or pair[0] == 0]
    texts = _compare_over_text(units, pairs)
    over_seeds = compare_over_seeds(arms, pairs)
    return units, [ArmComparison(pair, text, over) for pair, text, over in zip(pairs, texts, over_seeds, strict=True)]


def count_draws(comparisons: Sequence[Any]) -> int:
    """Return how often the units are drawn for so many comparisons at once."""
    return max(DRAWS, DRAWS_PER_COMPARISON * len(comparisons))


def make_units(runs: Sequence[StoredScore]) -> Units:
    """Make the units of runs on one text: documents as stored, or chunks merged into blocks. Raises UserError where there is one block."""
    sizes, bits = runs[0].sizes.astype(np.float64), np.stack([run.bits for run in runs], axis=1)  # [U], [U, R]
    if runs[0].values["units"]["kind"] == "documents":
        return Units("documents", sizes, bits)
    least = choose_block_bytes(sizes.sum(), max(run.context_bytes for run in runs))
    block = np.unique((np.cumsum(sizes) - sizes) // least, return_inverse=True)[1]
    if block[-1] == 0:
        raise UserError(f"the text has {sizes.sum():,.0f} bytes, one block of ten contexts, which has no spread; compare on a longer text")
    merged = np.zeros((block[-1] + 1, 1 + len(runs)))
    np.add.at(merged, block, np.column_stack([sizes, bits]))
    return Units("blocks", merged[:, 0], merged[:, 1:], round(least))


def _compare_over_text(units: Units, pairs: Sequence[tuple[int, int]]) -> list[TextDifference]:
    sizes, count, effective = units.sizes, len(units.sizes), effective_units(units.sizes)
    values = np.stack([units.bits[:, a] - units.bits[:, b] for a, b in pairs], axis=1)  # [U, C]
    differences = values.sum(axis=0) / sizes.sum()
    errors = [_measure_spread(column, sizes) for column in values.T]
    if count < MIN_UNITS:
        intervals = [t_interval(difference, error, effective - 1) for difference, error in zip(differences, errors, strict=True)]
    else:
        ratios = resample_ratios(values, sizes, count_draws(pairs), numpy_generator(0, "bootstrap"))
        intervals = [percentile_interval(column, effective) for column in ratios.T]
    alone = [_measure_spread(column, sizes) for column in units.bits.T]
    return [
        TextDifference(
            difference=float(differences[index]),
            standard_error=errors[index],
            unpaired_standard_error=float(np.hypot(alone[a], alone[b])),
            interval=intervals[index],
            adjusted_p_value=adjusted,
            sign_test=sign_test(values[:, index]),
            units_needed=units_needed(float(differences[index]), errors[index], count, len(pairs)),
        )
        for index, ((a, b), adjusted) in enumerate(zip(pairs, holm([interval.p_value for interval in intervals]), strict=True))
    ]


def _measure_spread(parts: Floats, sizes: Floats) -> float:
    """Measure a standard error, which `make_units` saw to that there is."""
    error = ratio_standard_error(parts, sizes)
    assert error is not None
    return error


def compare_over_seeds(
    arms: Sequence[Arm], pairs: Sequence[tuple[int, int]], metric: Callable[[StoredScore], float] = lambda run: run.bits_per_byte
) -> list[SeedComparison]:
    """Compare pairs over seeds, in any metric of a score. The noise of seeds is estimated over all arms together."""
    noise = measure_seed_noise(arms, metric)
    several = [pair for pair in pairs if min(len(arms[index].runs) for index in pair) > 1]
    findings = dict(zip(several, compare_pairs(noise, several), strict=True))
    found = []
    for a, b in pairs:
        difference = fmean(noise.figures[a].values()) - fmean(noise.figures[b].values())
        finding = findings.get((a, b))
        known = finding is None and noise.variances.pooled_freedom > 0
        rank = estimate_contrast(noise, {a: 1.0, b: -1.0}) if known else None
        found.append(SeedComparison(difference if finding is None else finding.estimate.difference, finding, rank))
    return found


def measure_seed_noise(arms: Sequence[Arm], metric: Callable[[StoredScore], float] = lambda run: run.bits_per_byte) -> SeedNoise:
    """Measure how much runs of one arm differ. Equal seeds are blocks: always among three arms or more, of two where they can be paired."""
    known = all(None not in arm.seeds for arm in arms)
    figures: list[dict[object, float]] = [
        {seed if known else (place, index): metric(run) for index, (seed, run) in enumerate(zip(arm.seeds, arm.runs, strict=True))}
        for place, arm in enumerate(arms)
    ]
    return SeedNoise(figures, blocked=known and (len(arms) > 2 or can_pair_by_seed(arms)))


def can_pair_by_seed(arms: Sequence[Arm]) -> bool:
    """Whether the arms are of one architecture, where a seed gives all of them the same initial weights, and have the same seeds."""
    first = arms[0]
    same = all(arm.runs[0].config.get(key) == first.runs[0].config.get(key) for arm in arms for key in ("model", "tokenizer"))
    return same and None not in first.seeds and all(sorted(map(str, arm.seeds)) == sorted(map(str, first.seeds)) for arm in arms)
