"""All that is known of a score besides its totals: every figure with its standard error, and where the bits go."""

import math
from typing import Any

from assay.evaluation.breakdown import breakdown
from assay.evaluation.by_position import by_position
from assay.evaluation.calibration import reliability
from assay.evaluation.classes import by_class
from assay.evaluation.extremes import extremes
from assay.evaluation.figures import figures
from assay.evaluation.score import Score
from assay.evaluation.units import unit_arrays, unit_facts
from assay.runs.directory import RunDirectory


def detail(score: Score) -> dict[str, Any]:
    """The stored form of a score, as plain values."""
    targets, unit = score.targets, score.unit_of_target
    found = figures(targets, unit)
    groups = targets.part.groups if targets.group_names else None
    return {
        **score.tree(),
        **{name: _or_none(figure.value) for name, figure in found.items() if name not in score.tree()},
        "standard_errors": {name: _or_none(figure.standard_error) for name, figure in found.items()},
        "words_scored": int(targets.words.sum()),
        "reliability": reliability(targets),
        "by_position": by_position(targets, unit),
        "by_class": by_class(targets, unit),
        "by_group": [] if groups is None else breakdown(targets, unit, groups[targets.documents], targets.group_names),
        **extremes(targets),
        "units": unit_facts(targets) if targets.complete else None,
    }


def store(run: RunDirectory, name: str, score: Score) -> dict[str, Any]:
    """Keep a score in the run as scores/NAME.json and, where it is complete, by unit as scores/NAME.npz. What the former now holds."""
    stored = detail(score)
    if stored["units"] is not None:
        run.write_arrays(f"scores/{name}.npz", unit_arrays(score.targets))
    else:
        (run.path / f"scores/{name}.npz").unlink(missing_ok=True)
    run.write_json(f"scores/{name}.json", stored)
    return stored


def _or_none(value: float) -> float | None:
    """JSON knows no "not a number": a text without words has no perplexity per word."""
    return None if math.isnan(value) else value
