"""Chart how models learned: curves over training, use of the context, gradients by layer."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from statistics import fmean

import numpy as np

from assay.errors import RunError
from assay.evaluation.breakdown import longest_context
from assay.reports.axes import AxisSettings
from assay.reports.charts import LegendEntry, Line, plot_curves
from assay.reports.number_format import format_amount
from assay.reports.panels import Legend, Panel, can_plot, make_panel, plot_panel
from assay.reports.svg import AltText
from assay.runs.directory import METRICS
from assay.studies.analysis.results import ArmOutcome, CurvePoint, RunOutcome, StudyOutcome

MAX_POINTS = 60  # of a curve
BEGINNING = 0.1  # share of training whose high losses do not decide the height of a chart
DESCRIBED = 12  # curves that the alt text lists one by one
PART_LABELS = {
    "training": "training", "validation": "validation", "full_validation": "validation, whole split",
    "training_score": "training text without dropout",
}  # fmt: skip
LEARNING = (
    "Lower is better, and further left is sooner. The first tenth of training is cut off where it lies higher than the rest. "
    "The number at the end of a line is the arm's number in the table."
)
BAND = " A line is the mean over seeds; the shade around it reaches from the lowest seed to the highest."
TRAINING = (
    "Training figures are of the text that is being learned, dropout included, so they are no measure of quality: "
    "where they fall and validation does not, the text is learned by heart. What dropout costs "
    "is left out of `training text without dropout` (`train.training_bytes`), which is scored as validation is."
)
POSITIONS = (
    "Each target is counted by how many {unit} of context the model saw before it, from few on the left to many on the right; each step "
    "doubles. A line that keeps falling belongs to a model that still gains from more context; where it is level, more does not help."
)
GRADIENTS = (
    "The mean gradient norm of each layer over the whole training, the first layer, next to the input, on the left. Level lines mean that "
    "all layers learn; a line that falls by powers of ten towards the left means that the first layers get almost nothing."
)


def make_learning_panel(outcome: StudyOutcome, legend: Legend) -> Panel | None:
    """Chart validation against tokens and against time, and training against tokens."""
    charts = []
    shown: list[Line] = []
    for name, part, across, label in (
        ("validation-tokens", "validation", "tokens", "tokens trained on"),
        ("validation-seconds", "validation", "seconds", "seconds of training steps"),
        ("full-validation-tokens", "full_validation", "tokens", "tokens trained on"),
        ("training-score-tokens", "training_score", "tokens", "tokens trained on"),
        ("training-tokens", "training", "tokens", "tokens trained on"),
    ):
        lines = [line for arm in outcome.arms if (line := _make_learning_line(arm, legend[arm.name], part, across)) is not None]
        if not can_plot(lines):
            continue
        shown += lines
        figure = f"{PART_LABELS[part]}, bits per byte"
        ends = "; ".join(f"{line.key.name} ends at {line.points[-1][1]:.4f}" for line in lines[:DESCRIBED])
        alt_text = AltText(f"{figure} against {label}", f"{len(lines)} curves. {ends}")
        axes = AxisSettings(label), AxisSettings(figure, top=_choose_top(lines))
        charts.append(plot_curves(name, lines, *axes, alt_text, markers=part != "training"))
    if not charts:
        return None
    several = any(len(arm.scored_runs) > 1 for arm in outcome.arms)
    return make_panel("Learning curves", f"{LEARNING}{BAND if several else ''} {TRAINING}", charts, shown)


def make_context_panel(outcome: StudyOutcome, legend: Legend) -> Panel | None:
    """Chart bits per byte by how much text a token sees before it."""
    tokenizers = {score.protocol["tokenizer"] for arm in outcome.arms for score in arm.scores}
    unit = "tokens" if len(tokenizers) == 1 else "bytes"
    by_arm = {arm.name: _average_by_x(_read_positions(arm, unit), len(arm.scores)) for arm in outcome.arms}
    lines = [Line(legend[name], points) for name, points in by_arm.items() if points]
    axes = AxisSettings(f"{unit} seen before, at most", log=True, ticks=_choose_ticks(lines)), AxisSettings("bits per byte")
    ends = "; ".join(f"{line.key.name}: from {line.points[0][1]:.3f} to {line.points[-1][1]:.3f}" for line in lines[:DESCRIBED])
    alt_text = AltText("Bits per byte by position in the context", ends)
    return plot_panel("positions", "Use of the context", POSITIONS.format(unit=unit), lines, axes, alt_text)


def make_gradient_panel(outcome: StudyOutcome, legend: Legend) -> Panel | None:
    """Chart gradient norms by layer, where arms differ in depth."""
    if not any(key.endswith("depth") for arm in outcome.arms for key in arm.planned_arm.values):
        return None
    by_arm = {arm.name: _average_by_x(_read_gradient_norms(arm)) for arm in outcome.arms}
    lines = [Line(legend[name], points) for name, points in by_arm.items() if points]
    axes = AxisSettings("layer, from the input", integer=True), AxisSettings("gradient norm", log=True)
    ends = "; ".join(f"{line.key.name}: {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in lines[:DESCRIBED])
    return plot_panel("gradients", "Gradients by layer", GRADIENTS, lines, axes, AltText("Gradient norm by layer", ends))


def _read_positions(arm: ArmOutcome, unit: str) -> Iterator[tuple[float, float]]:
    """Yield each stored range of contexts, its longest in tokens or bytes, with its bits per byte."""
    for score in arm.scores:
        size = 1.0 if unit == "tokens" else score.values["bytes_scored"] / score.values["tokens_scored"]
        yield from ((longest_context(row) * size, row["bits_per_byte"]) for row in score.values.get("by_position", ()))


def _read_gradient_norms(arm: ArmOutcome) -> Iterator[tuple[float, float]]:
    """Yield each recorded gradient norm of a layer, layers counted from 1."""
    for run in arm.scored_runs:
        with suppress(RunError):  # a damaged file, which a warning names
            for record in run.run.read_lines(METRICS):
                for layer, norm in record.get("gradient_norms", {}).items():
                    if layer.startswith("blocks.") and norm is not None:
                        yield float(layer.partition(".")[2]) + 1, norm


def _average_by_x(points: Iterable[tuple[float, float]], least: int = 1) -> list[tuple[float, float]]:
    """Average the values at each x that has at least so many of them."""
    values: dict[float, list[float]] = {}
    for x, y in points:
        values.setdefault(x, []).append(y)
    return [(x, fmean(ys)) for x, ys in sorted(values.items()) if len(ys) >= least]


def _make_learning_line(arm: ArmOutcome, key: LegendEntry, part: str, across: str) -> Line | None:
    """Make an arm's curve at the steps that all its seeds have, and their last: the mean over seeds, and a band from lowest to highest."""
    seeds = [points for run in arm.runs if (points := _read_points(run, part, across))]
    steps = sorted(set.intersection(*map(set, seeds))) if seeds else []
    if not steps:
        return None
    chosen = [*steps[: -1 : max(1, len(steps) // MAX_POINTS)], steps[-1]]
    at = np.array([[points[step] for step in chosen] for points in seeds])  # [seeds, steps, 2]
    x, y = at[..., 0].mean(axis=0).tolist(), at[..., 1]
    band = zip(x, y.min(axis=0).tolist(), y.max(axis=0).tolist(), strict=True) if len(seeds) > 1 else ()
    return Line(key, tuple(zip(x, y.mean(axis=0).tolist(), strict=True)), tuple(band))


def _read_points(run: RunOutcome, part: str, across: str) -> dict[float, tuple[float, float]]:
    """Read x and bits per byte by step, infinity for the last; the training text's tokens per byte convert nats per token of training."""
    points: Sequence[CurvePoint] = getattr(run.curve, part)
    factor = 1.0
    if part == "training":
        text = run.provenance.get("data", {}).get("parts", {}).get("train", {})
        if not text.get("bytes"):
            return {}
        factor = text["tokens"] / text["bytes"] / math.log(2)
    by_step = {float(point.step): (float(getattr(point, across)), point.value * factor) for point in points}
    finite = {step: point for step, point in by_step.items() if all(map(math.isfinite, point))}
    return {math.inf if step == max(finite) else step: point for step, point in finite.items()}


def _choose_top(lines: Sequence[Line]) -> float | None:
    """Choose the upper end of a chart of curves: over everything after the beginning, and a little more."""
    end = max(line.points[-1][0] for line in lines)
    later = [y for line in lines for x, y in line.points if x >= BEGINNING * end]
    lowest = min(y for line in lines for _, y in line.points)
    return max(later) + 0.05 * (max(later) - lowest) if later and max(later) > lowest else None


def _choose_ticks(lines: Sequence[Line]) -> list[tuple[float, str]]:
    """Choose the ticks of an axis of positions: powers of two, or four where there are many."""
    last = max((x for line in lines for x, _ in line.points), default=1.0)
    least = min((x for line in lines for x, _ in line.points), default=1.0)
    exponents = range(max(0, math.floor(math.log2(least))), math.ceil(math.log2(last)) + 1)
    step = 1 if len(exponents) <= 8 else 2
    return [(2.0**exponent, format_amount(2.0**exponent) if exponent >= 14 else str(2**exponent)) for exponent in exponents[::step]]
