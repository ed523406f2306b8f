"""Write what a comparison showed, in words and as plain values: resolved or not, by how much, and what it would take."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from assay.evaluation.comparability import find_unequal_conditions
from assay.evaluation.compare import MIN_UNITS, Arm, ArmComparison, SeedComparison, TextDifference, Units, count_draws
from assay.runs.standard_error import read_standard_error
from assay.statistics.interval import LEVEL

ARM_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class VerdictLabels(NamedTuple):
    """What the arms and the metric are called."""

    names: Sequence[str] = ARM_LETTERS
    unit: str = "bits per byte"
    scope: str = ""  # what the difference is over, such as " over the text"


LETTER_LABELS = VerdictLabels()


def write_text_verdict(comparison: ArmComparison, units: Units, family: int, labels: VerdictLabels = LETTER_LABELS) -> str:
    """Write the verdict on the difference over units of text: of the median seeds, or of the two runs that there are."""
    text, kind, count = comparison.text, units.kind, len(units.sizes)
    if text.sign_test.equal == count:
        return f"no difference{labels.scope}: exactly 0 in every one of the {count:,} {kind}, interval [0, 0]"
    needed = None
    if text.units_needed is not None:
        needed = f"about {text.units_needed:,} {kind} would be needed ({count:,} {kind} were scored)"
    return _write_verdict(comparison.pair, text, family, needed, labels)


def write_seed_verdict(
    pair: tuple[int, int], over: SeedComparison, family: int, counts: tuple[int, int], labels: VerdictLabels = LETTER_LABELS
) -> str:
    """Write the verdict on the difference of two means over seeds; `pair` are the two arms, `counts` their seeds."""
    if over.estimate.difference == 0 and over.estimate.standard_error == 0:
        return "no difference: the seeds of both give the same figures"
    each = "pairs of seeds" if over.estimate.paired else "seeds of each"
    have = f"{counts[0]} and {counts[1]}" if counts[0] != counts[1] else str(counts[0])
    needed = None if over.seeds_needed is None else f"about {over.seeds_needed:,} {each} would be needed (there are {have})"
    return _write_verdict(pair, over, family, needed, labels)


def _write_verdict(
    pair: tuple[int, int], comparison: TextDifference | SeedComparison, family: int, needed: str | None, labels: VerdictLabels
) -> str:
    estimate = comparison if isinstance(comparison, TextDifference) else comparison.estimate
    half = estimate.interval.half_width
    better = labels.names[pair[0] if estimate.difference < 0 else pair[1]]
    by = f"{better} better by {format_estimate(abs(estimate.difference), half)} +- {format_estimate(half, half)} {labels.unit}"
    if is_resolved(comparison):
        return f"resolved{labels.scope}: {by}"
    among = f" among {family} comparisons" if family > 1 and estimate.interval.p_value < 1 - LEVEL else ""
    unresolved = f"not resolved{labels.scope}{among}: {by}, which may be chance"
    return unresolved if needed is None else f"{unresolved}; {needed} if it is as large as seen"


def is_resolved(comparison: TextDifference | SeedComparison) -> bool:
    """Whether 0 is excluded, all comparisons made at once considered."""
    return comparison.adjusted_p_value < 1 - LEVEL


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
    with_seeds = sum(other.seeds is not None for other in family)
    return {
        "a": ARM_LETTERS[first],
        "b": ARM_LETTERS[second],
        "difference": text.difference if over is None else over.estimate.difference,
        "resolved": is_resolved(text) and (over is None or is_resolved(over)),
        "verdict": write_text_verdict(comparison, units, len(family)),
        "text": {"runs": [a.median_run.name, b.median_run.name], **_text_tree(text)},
        "seeds": None
        if over is None
        else {**_seeds_tree(over), "verdict": write_seed_verdict(comparison.pair, over, with_seeds, (len(a.runs), len(b.runs)))},
        "unequal": {name: list(values) for name, values in find_unequal_conditions(a.median_run, b.median_run).items()},
    }


def _text_tree(text: TextDifference) -> dict[str, Any]:
    signs = text.sign_test
    return {
        **_estimate_tree(text),
        "standard_error_unpaired": text.unpaired_standard_error,
        "units_needed": text.units_needed,
        "sign_test": {"a_better": signs.below, "b_better": signs.above, "equal": signs.equal, "probability": signs.p_value},
    }


def _seeds_tree(over: SeedComparison) -> dict[str, Any]:
    return {
        "method": "paired by seed" if over.estimate.paired else "Welch",
        **_estimate_tree(over),
        "degrees_of_freedom": over.estimate.degrees_of_freedom,
        "seeds_needed": over.seeds_needed,
    }


def _estimate_tree(comparison: TextDifference | SeedComparison) -> dict[str, Any]:
    estimate = comparison if isinstance(comparison, TextDifference) else comparison.estimate
    return {
        "difference": estimate.difference,
        "standard_error": estimate.standard_error,
        "interval": [estimate.interval.low, estimate.interval.high],
        "probability": estimate.interval.p_value,
        "probability_after_holm": comparison.adjusted_p_value,
        "resolved": is_resolved(comparison),
    }
