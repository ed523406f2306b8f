"""Pictures of how models learned: curves over training, use of the context, gradients by layer."""

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from assay.evaluation.by_position import sees_most
from assay.reports.charts import Line, curves
from assay.reports.panels import Key, Panel, panel
from assay.reports.picture import Said
from assay.reports.scale import Scale
from assay.reports.words import amount
from assay.runs.directory import METRICS
from assay.studies.analysis.results import ArmOutcome, Outcome, Point, RunOutcome

GRID = 60  # points of a curve
BEGINNING = 0.1  # share of training whose high losses do not decide the height of a picture
NAMED = 12  # curves that a picture's description tells one by one
LEARNING = (
    "Lower is better, and further left is sooner. The first tenth of training is cut off where it lies higher than the rest. "
    "The number at the end of a line is the arm's number in the table."
)
BAND = " A line is the mean over seeds; the shade around it reaches from the lowest seed to the highest."
TRAINING = (
    "Training figures are of the text that is being learned, dropout included, so they are no measure of quality: "
    "where they fall and validation does not, the text is learned by heart."
)
POSITIONS = (
    "Each target is counted by how many {unit} of context the model saw before it, from few on the left to many on the right; each step "
    "doubles. A line that keeps falling belongs to a model that still gains from more context; where it is level, more does not help."
)
GRADIENTS = (
    "The mean gradient norm of each layer over the whole training, the first layer, next to the input, on the left. Level lines mean that "
    "all layers learn; a line that falls by powers of ten towards the left means that the first layers get almost nothing."
)


def learning(outcome: Outcome, keys: dict[str, Key]) -> Panel | None:
    """Validation against tokens and against time, and training against tokens."""
    pictures = []
    shown: list[Line] = []
    for name, what, across, label in (
        ("validation-tokens", "validation", "tokens", "tokens trained on"),
        ("validation-seconds", "validation", "seconds", "seconds of training steps"),
        ("training-tokens", "training", "tokens", "tokens trained on"),
    ):
        lines = [line for arm in outcome.arms if (line := _learned(arm, keys[arm.name], what, across)) is not None]
        if not any(len(line.points) > 1 for line in lines):
            continue
        shown += lines
        up = "validation, bits per byte" if what == "validation" else "training, bits per byte"
        told = f"{len(lines)} curves. " + "; ".join(f"{line.label} ends at {line.points[-1][1]:.4f}" for line in lines[:NAMED])
        said = Said(f"{up} against {label}", told)
        pictures.append(curves(name, lines, Scale(label), Scale(up, top=_top(lines)), said, marked=what == "validation"))
    if not pictures:
        return None
    several = any(len(arm.scored) > 1 for arm in outcome.arms)
    reading = f"{LEARNING}{BAND if several else ''} {TRAINING}"
    return panel(("Learning curves", reading), pictures, shown, keys)


def positions(outcome: Outcome, keys: dict[str, Key]) -> Panel | None:
    """Bits per byte by how much text a token sees before it."""
    tokenizers = {score.protocol["tokenizer"] for arm in outcome.arms for score in arm.stored}
    unit = "tokens" if len(tokenizers) == 1 else "bytes"
    lines = []
    for arm in outcome.arms:
        rows: dict[float, list[float]] = {}
        for score in arm.stored:
            size = 1.0 if unit == "tokens" else score.figures["bytes_scored"] / score.figures["tokens_scored"]
            for row in score.figures.get("by_position", ()):
                rows.setdefault(sees_most(row) * size, []).append(row["bits_per_byte"])
        points = [(x, fmean(values)) for x, values in sorted(rows.items()) if len(values) == len(arm.stored)]
        if points:
            lines.append(Line(keys[arm.name].number, arm.name, points, (), keys[arm.name].style))
    if not any(len(line.points) > 1 for line in lines):
        return None
    across, up = Scale(f"{unit} seen before, at most", logarithmic=True, ticks=_powers(lines)), Scale("bits per byte")
    said = Said(
        "Bits per byte by position in the context",
        "; ".join(f"{line.label}: from {line.points[0][1]:.3f} to {line.points[-1][1]:.3f}" for line in lines[:NAMED]),
    )
    reading = POSITIONS.format(unit=unit)
    pictures = (curves("positions", lines, across, up, said, marked=True),)
    return panel(("Use of the context", reading), pictures, lines, keys)


def gradients(outcome: Outcome, keys: dict[str, Key]) -> Panel | None:
    """Gradient norms by layer, where arms differ in depth."""
    if not any(key.endswith("depth") for arm in outcome.arms for key in arm.plan.values):
        return None
    lines = []
    for arm in outcome.arms:
        norms: dict[int, list[float]] = {}
        for run in arm.scored:
            for line in run.run.lines(METRICS):
                for layer, norm in line.get("gradient_norms", {}).items():
                    if layer.startswith("blocks."):
                        norms.setdefault(int(layer.partition(".")[2]) + 1, []).append(norm)
        if norms:
            points = [(float(layer), fmean(values)) for layer, values in sorted(norms.items())]
            lines.append(Line(keys[arm.name].number, arm.name, points, (), keys[arm.name].style))
    if not any(len(line.points) > 1 for line in lines):
        return None
    said = Said(
        "Gradient norm by layer", "; ".join(f"{line.label}: {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in lines[:NAMED])
    )
    drawn = curves(
        "gradients", lines, Scale("layer, from the input", whole=True), Scale("gradient norm", logarithmic=True), said, marked=True
    )
    return panel(("Gradients by layer", GRADIENTS), (drawn,), lines, keys)


def _learned(arm: ArmOutcome, key: Key, what: str, across: str) -> Line | None:
    """An arm's curve at the steps that all its seeds have, and their last: the mean over seeds, and from the lowest to the highest."""
    seeds = [points for run in arm.runs if (points := _points(run, what, across))]
    steps = sorted(set.intersection(*map(set, seeds))) if seeds else []
    if not steps:
        return None
    chosen = [*steps[: -1 : max(1, len(steps) // GRID)], steps[-1]]
    at = np.array([[points[step] for step in chosen] for points in seeds])  # [seeds, steps, 2]
    x, y = at[..., 0].mean(axis=0).tolist(), at[..., 1]
    band = zip(x, y.min(axis=0).tolist(), y.max(axis=0).tolist(), strict=True) if len(seeds) > 1 else ()
    return Line(key.number, arm.name, tuple(zip(x, y.mean(axis=0).tolist(), strict=True)), tuple(band), key.style)


def _points(run: RunOutcome, what: str, across: str) -> dict[float, tuple[float, float]]:
    """x and bits per byte by step, infinity for the last. Nats a token of training are turned by the training text's tokens a byte."""
    points: Sequence[Point] = run.curve.validation if what == "validation" else run.curve.training
    factor = 1.0
    if what == "training":
        part = run.provenance.get("data", {}).get("parts", {}).get("train", {})
        if not part.get("bytes"):
            return {}
        factor = part["tokens"] / part["bytes"] / math.log(2)
    places = {float(point.step): (float(getattr(point, across)), point.value * factor) for point in points}
    found = {step: place for step, place in places.items() if all(map(math.isfinite, place))}
    return {math.inf if step == max(found) else step: place for step, place in found.items()}


def _top(lines: Sequence[Line]) -> float | None:
    """How high a picture of curves reaches: over everything after the beginning, and a little more."""
    end = max(line.points[-1][0] for line in lines)
    later = [y for line in lines for x, y in line.points if x >= BEGINNING * end]
    lowest = min(y for line in lines for _, y in line.points)
    return max(later) + 0.05 * (max(later) - lowest) if later and max(later) > lowest else None


def _powers(lines: Sequence[Line]) -> list[tuple[float, str]]:
    """Marks on an axis of positions: powers of two, or four where there are many."""
    last = max(x for line in lines for x, _ in line.points)
    least = min(x for line in lines for x, _ in line.points)
    exponents = range(max(0, math.floor(math.log2(least))), math.ceil(math.log2(last)) + 1)
    step = 1 if len(exponents) <= 8 else 2
    return [(2.0**exponent, amount(2.0**exponent) if exponent >= 14 else str(2**exponent)) for exponent in exponents[::step]]
