"""A comparison as plain values: what `assay compare --json` prints and the tables for people are made of."""

from collections.abc import Sequence
from typing import Any

from assay.evaluation.comparable import unequal
from assay.evaluation.compare import FEW_UNITS, Arm, Comparison, Units, draws_for
from assay.evaluation.verdict import LETTERS, resolved, seed_verdict, text_verdict
from assay.statistics.interval import LEVEL


def tree(arms: Sequence[Arm], units: Units, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Everything that was compared and found."""
    sampled = len(units.sizes) >= FEW_UNITS
    first = arms[0].runs[0]
    return {
        "split": first.protocol["split"],
        "text_sha256": first.protocol["text_sha256"],
        "bytes": int(units.sizes.sum()),
        "units": {"kind": units.kind, "count": len(units.sizes), "block_bytes": units.block_bytes},
        "level": LEVEL,
        "method": {"interval": "paired bootstrap" if sampled else "Student's t", "draws": draws_for(comparisons) if sampled else 0},
        "arms": {LETTERS[index]: _arm(arm) for index, arm in enumerate(arms)},
        "comparisons": [_comparison(arms, units, comparison, comparisons) for comparison in comparisons],
    }


def _arm(arm: Arm) -> dict[str, Any]:
    return {
        "name": arm.name,
        "bits_per_byte": arm.mean,
        "standard_error": arm.median.figures["standard_error"],
        "seeds": len(arm.runs),
        "deviation_over_seeds": arm.deviation,
        "median_run": arm.median.name,
        "runs": [
            {"run": run.name, "seed": seed, "bits_per_byte": run.bits_per_byte, "protocol": run.protocol, **run.trained}
            for run, seed in zip(arm.runs, arm.seeds, strict=True)
        ],
    }


def _comparison(arms: Sequence[Arm], units: Units, one: Comparison, family: Sequence[Comparison]) -> dict[str, Any]:
    a, b, text = arms[one.first], arms[one.second], one.text
    with_seeds = sum(other.seeds is not None for other in family)
    over = one.seeds
    return {
        "a": LETTERS[one.first],
        "b": LETTERS[one.second],
        "difference": text.difference if over is None else over.found.difference,
        "resolved": resolved(text) and (over is None or resolved(over)),
        "verdict": text_verdict(one, units, len(family)),
        "text": {
            "runs": [a.median.name, b.median.name],
            "difference": text.difference,
            "standard_error": text.standard_error,
            "standard_error_unpaired": text.unpaired,
            "interval": [text.interval.low, text.interval.high],
            "probability": text.interval.probability,
            "probability_after_holm": text.adjusted,
            "units_needed": text.needed,
            "sign_test": {
                "a_better": text.signs.below,
                "b_better": text.signs.above,
                "equal": text.signs.equal,
                "probability": text.signs.probability,
            },
            "resolved": resolved(text),
        },
        "seeds": None
        if over is None
        else {
            "method": "paired by seed" if over.found.paired else "Welch",
            "difference": over.found.difference,
            "standard_error": over.found.standard_error,
            "degrees_of_freedom": over.found.freedom,
            "interval": [over.found.interval.low, over.found.interval.high],
            "probability": over.found.interval.probability,
            "probability_after_holm": over.adjusted,
            "seeds_needed": over.needed,
            "resolved": resolved(over),
            "verdict": seed_verdict(one.pair, over, with_seeds, (len(a.runs), len(b.runs))),
        },
        "unequal": {name: list(values) for name, values in unequal(a.median, b.median).items()},
    }
