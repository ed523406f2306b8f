"""Every arm of a study against its base: one family of comparisons, corrected together."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from assay.errors import UserError
from assay.evaluation.comparable import refuse_unequal, unequal
from assay.evaluation.compare import Arm, Comparison, OverSeeds, Units, compare, over_seeds
from assay.evaluation.verdict import Words, figure, resolved, seed_verdict, text_verdict
from assay.statistics.interval import Interval
from assay.studies.analysis.results import Against, ArmOutcome
from assay.variation.metric import Metric


class Compared(NamedTuple):
    """The comparisons of a study, and why any is missing."""

    units: Units | None  # None where units of the text were not compared
    comparisons: tuple[Against, ...]
    left_out: tuple[str, ...]  # sentences


def compared(arms: Sequence[ArmOutcome]) -> Compared:
    """The first arm, the base, against every other that has a figure on the same text."""
    base, left_out, taken = arms[0], [], []
    for arm in arms[1:] if base.stored else ():
        reason = _unlike(base, arm) if arm.stored else None
        if reason is not None:
            left_out.append(f"{arm.name} is not compared with the base: {reason}")
        elif arm.stored:
            taken.append(arm)
    if not taken:
        return Compared(None, (), tuple(left_out))
    sides, metric = [Arm(arm.name, arm.stored) for arm in (base, *taken)], base.metric
    pairs = [(0, index) for index in range(1, len(sides))]
    seeded = over_seeds(sides, pairs, lambda run: metric.loss(metric.of(run)))
    units, texts = None, [None] * len(pairs)
    if metric.name == "bits_per_byte":
        try:
            units, texts = compare(sides)  # type: ignore[assignment]
        except UserError as short:
            left_out.append(f"the text is compared over seeds alone: {short}")
    family = Family(sides, metric, units, sum(over is not None for over in seeded))
    return Compared(units, tuple(family.against(*one) for one in zip(pairs, texts, seeded, strict=True)), tuple(left_out))


class Family(NamedTuple):
    """What all comparisons of a study share."""

    sides: Sequence[Arm]
    metric: Metric
    units: Units | None
    seeded: int  # comparisons over seeds, which were corrected together

    def against(self, pair: tuple[int, int], text: Comparison | None, over: OverSeeds | None) -> Against:
        """One arm against the base, as the difference arm - base in what is to be low."""
        base, arm = (self.sides[index] for index in pair)
        of_base, of_arm = ([self.metric.loss(self.metric.of(run)) for run in side.runs] for side in (base, arm))
        sure = over is not None and resolved(over) and (text is None or resolved(text.text))
        return Against(
            arm=arm.name,
            difference=sum(of_arm) / len(of_arm) - sum(of_base) / len(of_base),
            interval=None if over is None else turned(over.found.interval),
            text=None if text is None else turned(text.text.interval),
            adjusted=None if over is None else over.adjusted,
            resolved=sure,
            needed=None if over is None or resolved(over) else over.needed,
            paired=over is not None and over.found.paired,
            verdict=self._words(pair, text, over),
            unequal=unequal(base.median, arm.median),
        )

    def _words(self, pair: tuple[int, int], text: Comparison | None, over: OverSeeds | None) -> str:
        words = Words([side.name for side in self.sides], self.metric.label)
        of_text = None if text is None or self.units is None else text_verdict(text, self.units, len(self.sides) - 1, words)
        if over is None:
            found = f"; the two runs, over the text: {of_text}" if of_text is not None else ""
            return f"not resolved: with one seed, arms cannot be told from seeds{found}"
        counts = len(self.sides[pair[0]].runs), len(self.sides[pair[1]].runs)
        of_seeds = seed_verdict(pair, over, self.seeded, counts, words)
        if text is not None and self.units is not None and resolved(over) and not resolved(text.text):
            over_text = text_verdict(text, self.units, len(self.sides) - 1, words._replace(place=" over the text"))
            return f"{over_text}; over seeds {of_seeds}"
        return of_seeds


def turned(interval: Interval) -> Interval:
    """The interval of the difference the other way round."""
    return Interval(-interval.high, -interval.low, interval.probability)


def sized(difference: float, interval: Interval | None) -> str:
    """The size of a difference with half of its interval: `0.012 +- 0.004`, or `0.0120` without one."""
    if interval is None:
        return f"{abs(difference):.4f}"
    return f"{figure(abs(difference), interval.half)} +- {figure(interval.half, interval.half)}"


def _unlike(base: ArmOutcome, arm: ArmOutcome) -> str | None:
    """Why an arm cannot be set beside the base; None where it can."""
    try:
        refuse_unequal([*base.stored, *arm.stored])
    except UserError as unlike:
        return str(unlike)
    lacking = [one.name for one in (base, arm) if any(math.isnan(value) for value in one.figures)]
    return f"{' and '.join(lacking)} have no {base.metric.label}" if lacking else None
