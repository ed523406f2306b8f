"""Write what a comparison showed, in words and as plain values: resolved or not, by how much, and what it would take."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from assay.evaluation.comparability import find_unequal_conditions
from assay.evaluation.compare import MIN_UNITS, Arm, ArmComparison, SeedComparison, TextDifference, Units, count_draws
from assay.runs.standard_error import read_standard_error
from assay.statistics.interval import LEVEL, Interval

ARM_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class VerdictLabels(NamedTuple):
    """What the arms and the metric are called."""

    names: Sequence[str] = ARM_LETTERS
    unit: str = "bits per byte"


LETTER_LABELS = VerdictLabels()


def write_text_verdict(comparison: ArmComparison, units: Units, family: int, labels: VerdictLabels = LETTER_LABELS) -> str:
    """Write the verdict on two *models*, over units of text: the median seeds of two arms, or the two runs that there are."""
    text, kind, count = comparison.text, units.kind, len(units.sizes)
    if text.sign_test.equal == count:
        return f"no difference: exactly 0 in every one of the {count:,} {kind}, interval [0, 0]"
    by = _format_lead(comparison.pair, text.difference, text.interval.half_width, labels)
    if is_resolved(text):
        return f"these two models differ on this text: {by}"
    unresolved = f"these two models cannot be told apart on this text{_among(text, family)}: {by}, which may be chance"
    if text.units_needed is None:
        return unresolved
    needed = f"about {text.units_needed:,} {kind} would be needed ({count:,} {kind} were scored)"
    return f"{unresolved}; {needed} if it is as large as seen"


def write_seed_verdict(
    pair: tuple[int, int], over: SeedComparison, family: int, counts: tuple[int, int], labels: VerdictLabels = LETTER_LABELS
) -> str:
    """Write the verdict on a *setting*, over seeds; `pair` are the two arms, `counts` their seeds."""
    finding = over.finding
    if finding is None:
        return _rank(pair, over, labels)
    if finding.estimate.difference == 0 and finding.estimate.standard_error == 0:
        return "no difference: the seeds of both give the same figures"
    have = f"{counts[0]} and {counts[1]}" if counts[0] != counts[1] else str(counts[0])
    half = finding.estimate.interval.half_width
    by = _format_lead(pair, over.difference, half, labels)
    noisy = "".join(f"; {labels.names[arm]} scatters more than the others, give it more seeds" for arm in finding.suspicious)
    if is_resolved(over):
        return f"resolved over {have} seeds: {by}"
    unresolved = f"not resolved over {have} seeds{_among(over, family)}: {by}, which may be chance"
    if finding.seeds_needed is None:
        return unresolved + noisy
    return f"{unresolved}; about {finding.seeds_needed:,} seeds of each would be needed if it is as large as seen{noisy}"


def _rank(pair: tuple[int, int], over: SeedComparison, labels: VerdictLabels) -> str:
    """Say how two arms rank, of which one has a single seed."""
    half = over.rank.interval.half_width if over.rank is not None else 0.0
    better = labels.names[pair[0] if over.difference < 0 else pair[1]]
    lead = f"{better} is ahead by {format_estimate(abs(over.difference), half)} {labels.unit}" if over.difference else "both are equal"
    ranking = f"one seed: a ranking, not a finding: {lead}"
    if over.rank is None:
        return ranking
    place = "within" if abs(over.difference) <= half else "beyond"
    return f"{ranking}, {place} the {format_estimate(half, half)} that other seeds may make of it"


def _format_lead(pair: tuple[int, int], difference: float, half: float, labels: VerdictLabels) -> str:
    better = labels.names[pair[0] if difference < 0 else pair[1]]
    return f"{better} better by {format_estimate(abs(difference), half)} +- {format_estimate(half, half)} {labels.unit}"


def _among(comparison: TextDifference | SeedComparison, family: int) -> str:
    return f" among {family} comparisons" if family > 1 and _probability(comparison) < 1 - LEVEL else ""


def _probability(comparison: TextDifference | SeedComparison) -> float:
    """Return the p-value of a comparison alone; 1 for a rank."""
    if isinstance(comparison, TextDifference):
        return comparison.interval.p_value
    return 1.0 if comparison.finding is None else comparison.finding.estimate.interval.p_value


def is_resolved(comparison: TextDifference | SeedComparison) -> bool:
    """Whether 0 is excluded, all comparisons made at once considered. A rank is never resolved."""
    if isinstance(comparison, TextDifference):
        return comparison.adjusted_p_value < 1 - LEVEL
    return comparison.finding is not None and comparison.finding.adjusted_p_value < 1 - LEVEL


def helps(comparison: ArmComparison) -> bool:
    """Whether the setting makes a difference: over seeds, and the median seeds over the text."""
    return is_resolved(comparison.seeds) and is_resolved(comparison.text)


def format_estimate(value: float, half: float, *, sign: bool = False) -> str:
    """Write a number with as many decimals as give half an interval two digits, at least three and at most six."""
    decimals = 4 if half == 0 else min(6, max(3, 1 - math.floor(math.log10(half))))
    return f"{value:{'+' if sign else ''}.{decimals}f}"


def format_p_value(value: float) -> str:
    """Write a probability for people."""
    return "p < 0.001" if value < 1e-3 else f"p = {value:.3f}"


def make_comparison_tree(arms: Sequence[Arm], units: Units, comparisons: Sequence[ArmComparison]) -> dict[str, Any]:
    """Return everything that was compared as plain values: what `assay compare --json` prints and its tables are made of."""
    resampled = len(units.sizes) >= MIN_UNITS
    protocol = arms[0].runs[0].protocol
    return {
        "split": protocol["split"],
        "text_sha256": protocol["text_sha256"],
        "bytes": int(units.sizes.sum()),
        "units": units.to_dict(),
        "level": LEVEL,
        "method": {"interval": "paired bootstrap" if resampled else "Student's t", "draws": count_draws(comparisons) if resampled else 0},
        "arms": {ARM_LETTERS[index]: _arm_tree(arm) for index, arm in enumerate(arms)},
        "comparisons": [_comparison_tree(arms, units, comparison, comparisons) for comparison in comparisons],
    }


def _arm_tree(arm: Arm) -> dict[str, Any]:
    return {
        "name": arm.name,
        "bits_per_byte": arm.mean,
        "standard_error": read_standard_error(arm.median_run.values),
        "standard_error_over": arm.median_run.values.get("standard_error_over"),
        "seeds": len(arm.runs),
        "deviation_over_seeds": arm.deviation,
        "median_run": arm.median_run.name,
        "runs": [
            {"run": run.name, "seed": seed, "bits_per_byte": run.bits_per_byte, "protocol": run.protocol, **run.training_counts}
            for run, seed in zip(arm.runs, arm.seeds, strict=True)
        ],
    }


def _comparison_tree(arms: Sequence[Arm], units: Units, comparison: ArmComparison, family: Sequence[ArmComparison]) -> dict[str, Any]:
    (first, second), text, over = comparison.pair, comparison.text, comparison.seeds
    a, b = arms[first], arms[second]
    found = sum(other.seeds.finding is not None for other in family)
    setting = write_seed_verdict(comparison.pair, over, found, (len(a.runs), len(b.runs)))
    return {
        "a": ARM_LETTERS[first],
        "b": ARM_LETTERS[second],
        "difference": over.difference,
        "resolved": helps(comparison),
        "verdict": setting,
        "text": {
            "runs": [a.median_run.name, b.median_run.name],
            **_text_tree(text),
            "verdict": write_text_verdict(comparison, units, len(family)),
        },
        "seeds": _seeds_tree(over),
        "unequal": {name: list(values) for name, values in find_unequal_conditions(a.median_run, b.median_run).items()},
    }


def _text_tree(text: TextDifference) -> dict[str, Any]:
    signs = text.sign_test
    return {
        **_interval_tree(text.difference, text.standard_error, text.interval),
        "adjusted_probability": text.adjusted_p_value,
        "resolved": is_resolved(text),
        "standard_error_unpaired": text.unpaired_standard_error,
        "units_needed": text.units_needed,
        "sign_test": {"a_better": signs.below, "b_better": signs.above, "equal": signs.equal, "probability": signs.p_value},
    }


def _seeds_tree(over: SeedComparison) -> dict[str, Any] | None:
    """As plain values; None where nothing is known of seeds. A rank has no adjusted probability."""
    estimate = over.rank if over.finding is None else over.finding.estimate
    if estimate is None:
        return None
    return {
        **_interval_tree(estimate.difference, estimate.standard_error, estimate.interval),
        "adjusted_probability": None if over.finding is None else over.finding.adjusted_p_value,
        "resolved": is_resolved(over),
        "finding": over.finding is not None,
        "degrees_of_freedom": estimate.degrees_of_freedom,
        "seeds_needed": None if over.finding is None else over.finding.seeds_needed,
    }


def _interval_tree(difference: float, standard_error: float, interval: Interval) -> dict[str, Any]:
    return {
        "difference": difference,
        "standard_error": standard_error,
        "interval": [interval.low, interval.high],
        "probability": interval.p_value,
    }
