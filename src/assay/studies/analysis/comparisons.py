"""Every arm of a study against its base: one family of comparisons, corrected together."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from assay.errors import UserError
from assay.evaluation.comparability import find_unequal_conditions, refuse_unequal
from assay.evaluation.compare import Arm, ArmComparison, SeedComparison, Units, compare_arms, compare_over_seeds
from assay.evaluation.verdict import VerdictLabels, format_estimate, is_resolved, write_seed_verdict, write_text_verdict
from assay.statistics.interval import Interval
from assay.studies.analysis.results import ArmOutcome, ComparisonToBase
from assay.variation.metric import Metric


class StudyComparisons(NamedTuple):
    """The comparisons of a study, and the reasons why any is missing."""

    units: Units | None  # None where units of the text were not compared
    comparisons: tuple[ComparisonToBase, ...]
    left_out: tuple[str, ...]  # sentences


def compare_to_base(arms: Sequence[ArmOutcome]) -> StudyComparisons:
    """Compare the first arm, the base, with every other that has a figure on the same text."""
    base, left_out, taken = arms[0], [], []
    for arm in arms[1:] if base.scores else ():
        reason = _find_obstacle(base, arm) if arm.scores else None
        if reason is not None:
            left_out.append(f"{arm.name} is not compared with the base: {reason}")
        elif arm.scores:
            taken.append(arm)
    if not taken:
        return StudyComparisons(None, (), tuple(left_out))
    sides, metric = [Arm(arm.name, arm.scores) for arm in (base, *taken)], base.metric
    pairs = [(0, index) for index in range(1, len(sides))]
    seeded = compare_over_seeds(sides, pairs, metric.loss_of)
    units, texts = None, [None] * len(pairs)
    if metric.name == "bits_per_byte":
        try:
            units, texts = compare_arms(sides)  # type: ignore[assignment]
        except UserError as short:
            left_out.append(f"the text is compared over seeds alone: {short}")
    family = ComparisonFamily(sides, metric, units, sum(over.finding is not None for over in seeded))
    return StudyComparisons(units, tuple(family.compare_pair(*one) for one in zip(pairs, texts, seeded, strict=True)), tuple(left_out))


class ComparisonFamily(NamedTuple):
    """The comparisons of a study, which are corrected together."""

    arms: Sequence[Arm]
    metric: Metric
    units: Units | None
    seed_comparisons: int  # comparisons over seeds, which were corrected together

    def compare_pair(self, pair: tuple[int, int], text: ArmComparison | None, over: SeedComparison) -> ComparisonToBase:
        """Compare one arm with the base: the difference arm - base, turned so that less is better."""
        base, arm = (self.arms[index] for index in pair)
        finding = over.finding
        return ComparisonToBase(
            arm=arm.name,
            difference=0.0 - over.difference,  # no -0.0
            interval=None if finding is None else negate_interval(finding.estimate.interval),
            text_interval=None if text is None else negate_interval(text.text.interval),
            adjusted_p_value=None if finding is None else finding.adjusted_p_value,
            resolved=is_resolved(over) and (text is None or is_resolved(text.text)),
            seeds_needed=None if finding is None else finding.seeds_needed,
            rank_interval=None if over.rank is None else negate_interval(over.rank.interval),
            suspicious=finding is not None and pair[1] in finding.suspicious,
            verdict=self._write_verdict(pair, text, over),
            unequal_conditions=find_unequal_conditions(base.median_run, arm.median_run),
        )

    def _write_verdict(self, pair: tuple[int, int], text: ArmComparison | None, over: SeedComparison) -> str:
        words = VerdictLabels([side.name for side in self.arms], self.metric.label)
        counts = len(self.arms[pair[0]].runs), len(self.arms[pair[1]].runs)
        of_seeds = write_seed_verdict(pair, over, self.seed_comparisons, counts, words)
        if text is None or self.units is None or (is_resolved(over) and is_resolved(text.text)):
            return of_seeds
        if is_resolved(over) or over.finding is None:
            return f"{of_seeds}; {write_text_verdict(text, self.units, len(self.arms) - 1, words)}"
        return of_seeds


def negate_interval(interval: Interval) -> Interval:
    """Turn an interval to that of the opposite difference."""
    return Interval(0.0 - interval.high, 0.0 - interval.low, interval.p_value)  # no -0.0


def format_difference(difference: float, interval: Interval | None) -> str:
    """Format the size of a difference with half of its interval: `0.012 +- 0.004`, or `0.0120` without one."""
    if interval is None:
        return f"{abs(difference):.4f}"
    return f"{format_estimate(abs(difference), interval.half_width)} +- {format_estimate(interval.half_width, interval.half_width)}"


def _find_obstacle(base: ArmOutcome, arm: ArmOutcome) -> str | None:
    """Find why an arm cannot be compared with the base; None where it can."""
    try:
        refuse_unequal([*base.scores, *arm.scores])
    except UserError as unlike:
        return str(unlike)
    without = [one.name for one in (base, arm) if any(math.isnan(value) for value in one.figures)]
    return f"{' and '.join(without)} have no {base.metric.label}" if without else None
