"""Differences of bits per byte, paired over the same units of the same text.

With d_u = b_u^A - b_u^B bits and n_u bytes in unit u the difference is sum d / sum n, its standard error that of a ratio, its interval
by paired bootstrap of units. Bytes are common to all tokenizers, so a model of words and one of bytes can be compared. This is the
uncertainty of the choice of text; that of the seed is separate and needs several runs of an arm. Grains of a contiguous text are merged
into blocks long enough to be nearly independent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from assay.core.seeds import numpy_stream
from assay.errors import UserError
from assay.evaluation.comparable import refuse_unequal
from assay.evaluation.figures import standard_error
from assay.evaluation.stored import Stored
from assay.statistics import seeds
from assay.statistics.bootstrap import effective_units, percentiles, resampled
from assay.statistics.interval import LEVEL, Interval, student, units_needed
from assay.statistics.multiple import holm
from assay.statistics.sign import SignTest, sign_test

DRAWS = 10_000
DRAWS_A_COMPARISON = 200  # so that the least probability that draws can show, times the comparisons, stays well below 5 %
FEW_UNITS = 10  # fewer are not resampled: their draws are too much alike
BLOCK_BYTES, BLOCKS, CONTEXTS = 1 << 16, 30, 10  # a block: 64 KiB where the text has 30 of them, and ten contexts

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Arm:
    """One side of a comparison: the runs of one configuration, which differ in the seed."""

    name: str
    runs: tuple[Stored, ...]

    @property
    def figures(self) -> list[float]:
        """Bits per byte of each seed."""
        return [run.bits_per_byte for run in self.runs]

    @property
    def mean(self) -> float:
        """Over seeds."""
        return fmean(self.figures)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds; None for one."""
        return stdev(self.figures) if len(self.runs) > 1 else None

    @property
    def median(self) -> Stored:
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
    unpaired: float  # the standard error that two separate texts of this kind would give
    interval: Interval
    adjusted: float  # probability after Holm, over all comparisons made at once
    signs: SignTest  # below: units in which the first is better
    needed: int | None  # units that would find a difference of this size


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """The difference of two means over seeds."""

    found: seeds.SeedDifference
    adjusted: float
    needed: int | None  # seeds an arm; where the difference is not resolved, more than there are


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms by their numbers in the list of arms."""

    first: int
    second: int
    text: TextDifference  # of the median seeds
    seeds: OverSeeds | None  # None where an arm has one run

    @property
    def pair(self) -> tuple[int, int]:
        """Both numbers."""
        return self.first, self.second


@dataclass(frozen=True, slots=True)
class Units:
    """What is resampled: documents, or blocks of a contiguous text."""

    kind: Literal["documents", "blocks"]
    sizes: Floats  # [U] bytes
    bits: Floats  # [U, R] of each run
    block_bytes: int | None = None  # of a block at least

    def describe(self) -> str:
        """For people: `31 blocks of 65,536 bytes`."""
        return f"{len(self.sizes):,} {self.kind}" + (f" of {self.block_bytes:,} bytes" if self.block_bytes is not None else "")


def compare(arms: Sequence[Arm], *, all_pairs: bool = False) -> tuple[Units, list[Comparison]]:
    """The first arm against each other one, or all pairs. Raises UserError where the scores are not of the same text."""
    refuse_unequal([run for arm in arms for run in arm.runs])
    units = units_of([arm.median for arm in arms])
    pairs = [pair for pair in combinations(range(len(arms)), 2) if all_pairs or pair[0] == 0]
    texts = _over_text(units, pairs)
    seeded = over_seeds(arms, pairs)
    return units, [Comparison(*pair, text, over) for pair, text, over in zip(pairs, texts, seeded, strict=True)]


def draws_for(comparisons: Sequence[Any]) -> int:
    """How often the units are drawn for so many comparisons at once."""
    return max(DRAWS, DRAWS_A_COMPARISON * len(comparisons))


def units_of(runs: Sequence[Stored]) -> Units:
    """The units of runs on one text: documents as stored, or grains merged into blocks. Raises UserError where there is one block."""
    sizes, bits = runs[0].sizes.astype(np.float64), np.stack([run.bits for run in runs], axis=1)  # [U], [U, R]
    if runs[0].figures["units"]["kind"] == "documents":
        return Units("documents", sizes, bits)
    least = max(CONTEXTS * max(run.context_bytes for run in runs), min(BLOCK_BYTES, sizes.sum() / BLOCKS))
    block = np.unique((np.cumsum(sizes) - sizes) // least, return_inverse=True)[1]
    if block[-1] == 0:
        raise UserError(f"the text has {sizes.sum():,.0f} bytes, one block of ten contexts, which has no spread; compare on a longer text")
    merged = np.zeros((block[-1] + 1, 1 + len(runs)))
    np.add.at(merged, block, np.column_stack([sizes, bits]))
    return Units("blocks", merged[:, 0], merged[:, 1:], round(least))


def _over_text(units: Units, pairs: Sequence[tuple[int, int]]) -> list[TextDifference]:
    sizes, count, effective = units.sizes, len(units.sizes), effective_units(units.sizes)
    values = np.stack([units.bits[:, a] - units.bits[:, b] for a, b in pairs], axis=1)  # [U, C]
    differences = values.sum(axis=0) / sizes.sum()
    errors = [standard_error(column, sizes) for column in values.T]
    if count < FEW_UNITS:
        intervals = [student(difference, error, effective - 1) for difference, error in zip(differences, errors, strict=True)]
    else:
        ratios = resampled(values, sizes, draws_for(pairs), numpy_stream(0, "bootstrap"))
        intervals = [percentiles(column, effective) for column in ratios.T]
    alone = [standard_error(column, sizes) for column in units.bits.T]
    return [
        TextDifference(
            difference=float(differences[index]),
            standard_error=errors[index],
            unpaired=float(np.hypot(alone[a], alone[b])),
            interval=intervals[index],
            adjusted=adjusted,
            signs=sign_test(values[:, index]),
            needed=units_needed(float(differences[index]), errors[index], count, len(pairs)),
        )
        for index, ((a, b), adjusted) in enumerate(zip(pairs, holm([interval.probability for interval in intervals]), strict=True))
    ]


def over_seeds(
    arms: Sequence[Arm], pairs: Sequence[tuple[int, int]], figure: Callable[[Stored], float] = lambda run: run.bits_per_byte
) -> list[OverSeeds | None]:
    """The differences of the pairs over seeds, in any figure of a score; None where an arm has one run."""
    found = {(a, b): _seed_difference(arms[a], arms[b], figure) for a, b in pairs if min(len(arms[a].runs), len(arms[b].runs)) > 1}
    adjusted = dict(zip(found, holm([difference.interval.probability for difference in found.values()]), strict=True))

    def needed(pair: tuple[int, int]) -> int | None:
        count = seeds.seeds_needed(found[pair], len(found))
        have = max(len(arms[index].runs) for index in pair)
        return count if count is None or adjusted[pair] < 1 - LEVEL else max(count, have + 1)  # these few had bad luck

    return [OverSeeds(found[pair], adjusted[pair], needed(pair)) if pair in found else None for pair in pairs]


def paired_by_seed(arms: Sequence[Arm]) -> bool:
    """Whether the arms are of one architecture, where a seed gives all of them the same initial weights, and have the same seeds."""
    first = arms[0]
    same = all(arm.runs[0].config.get(key) == first.runs[0].config.get(key) for arm in arms for key in ("model", "tokenizer"))
    return same and None not in first.seeds and all(sorted(map(str, arm.seeds)) == sorted(map(str, first.seeds)) for arm in arms)


def _seed_difference(a: Arm, b: Arm, figure: Callable[[Stored], float]) -> seeds.SeedDifference:
    """Paired by seed where that can be, otherwise after Welch."""
    of_a, of_b = ([figure(run) for run in arm.runs] for arm in (a, b))
    if not paired_by_seed([a, b]):
        return seeds.welch(of_a, of_b)
    by_seed = dict(zip(b.seeds, of_b, strict=True))
    return seeds.paired(of_a, [by_seed[seed] for seed in a.seeds])
