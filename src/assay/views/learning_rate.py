"""Show learning rates in the terminal and in a picture: `assay schedule` and `assay lr-range`."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from assay.core.words import format_count
from assay.reports.plots import PlotSettings, draw_curves
from assay.terminal.charts import curve_width, print_curve, space_evenly
from assay.terminal.console import print_sentences
from assay.terminal.tables import make_pair_table, print_table
from assay.tools.lr_range import MIN_POINTS, SUGGESTION_DIVISOR, RangeTest
from assay.tools.schedule import ScheduleCurve
from assay.views.configs import format_config

POINTS = 500  # of a picture
ROWS = 12  # of the table
CAUTION = "A starting point and not a tuned value: what is best for a whole run also depends on its length, schedule and batch."


def print_schedule(out: Console, curve: ScheduleCurve) -> None:
    """Print a curve of the factor, and figures."""
    out.print(make_pair_table({**dict(format_config({"schedule": curve.config})), **_describe_budget(curve)}))
    out.print()
    top = max(curve.factor(step) for step in curve.key_steps())
    labels = (f"{top:.3g}", "0")
    steps = space_evenly(curve.steps, curve_width(out, labels))
    last = format_count(curve.steps, "step") if curve.steps_known else "the whole budget"
    print_curve(out, [curve.factor(step) / top for step in steps], labels, ("0", last))
    out.print()
    parts = list(curve.rates(1.0))
    rows = [_schedule_cells(curve, step, parts) for step in curve.key_steps()]
    print_table(out, ("step", "share", "factor", *(f"lr, {part}" for part in parts)), rows, text_columns=0, optional_column=2)
    if curve.misfits:
        out.print()
        print_sentences(out, *curve.misfits, wrap=True)


def draw_schedule(path: Path, name: str, curve: ScheduleCurve) -> None:
    """Write a picture of the factor, with the rates that it multiplies. Raises UserError where that cannot be."""
    rates = ", ".join(f"{part} {rate:g}" for part, rate in curve.rates(1.0).items())
    across = f"share of the budget, {curve.budget}" + (f" ({format_count(curve.steps, 'step')})" if curve.steps_known else "")
    points = [(step / curve.steps, curve.factor(step)) for step in space_evenly(curve.steps, POINTS)]
    settings = PlotSettings(f"{name}: {curve.config['kind']}", across, "factor on the learning rates", y_min=0.0)
    draw_curves({f"learning rates at factor 1: {rates}": points}, settings, path)


def _describe_budget(curve: ScheduleCurve) -> dict[str, str]:
    """Describe the budget and the rule for the batch."""
    steps = f"{curve.steps:,}"
    unknown = f"its steps are measured when a run begins; drawn as if they were {steps} (train.budget=2000steps draws 2,000)"
    facts = {"budget": f"{curve.budget}: " + (f"{steps} steps" if curve.steps_known else unknown)}
    rule, reference = curve.config["batch_rule"], curve.config.get("reference_batch")
    if reference is not None:
        facts["batch"] = f"{format_count(curve.batch, 'row')} for {reference}, {rule}: every rate times {curve.schedule.scale:.4g}"
    return facts


def _schedule_cells(curve: ScheduleCurve, step: int, parts: list[str]) -> tuple[str, ...]:
    factor = curve.factor(step)
    rates = curve.rates(factor)
    return (f"{step:,}", f"{step / curve.steps:.1%}", f"{factor:.4g}", *(f"{rates[part]:.3g}" for part in parts))


def print_range(out: Console, test: RangeTest) -> None:
    """Print a curve of the losses, their figures, and what follows from them."""
    points, rates = test.points, test.configured_rates
    first, lowest = points[0], min(point.smoothed for point in points)
    highest = first.smoothed if first.smoothed > lowest else max(point.smoothed for point in points)  # a divergence would dwarf the rest
    labels = (f"{highest:.3f}", f"{lowest:.3f}")
    width, span = min(curve_width(out, labels), max(len(points), 20)), (highest - lowest) or 1.0
    shown = [points[round(index * (len(points) - 1) / max(1, width - 1))] for index in range(width)]  # some twice where there are few
    out.print("smoothed loss, nats/token")
    print_curve(out, [(point.smoothed - lowest) / span for point in shown], labels, (f"x {first.factor:.3g}", f"x {points[-1].factor:.3g}"))
    out.print()
    rows = [
        (
            f"{point.factor:.3g}",
            *(f"{rate:.3g}" for rate in test.rates(point.factor).values()),
            f"{point.loss:.4f}",
            f"{point.smoothed:.4f}",
        )
        for point in (points[index] for index in space_evenly(len(points), ROWS))
    ]
    print_table(out, ("factor", *rates, "loss", "smoothed"), rows, text_columns=0, optional_column=len(rates) + 1)
    out.print()
    print_sentences(out, *_explain_range(test), wrap=True)


def draw_range(path: Path, name: str, test: RangeTest) -> None:
    """Write a picture of the losses over the factor, with the suggestion. Raises UserError where that cannot be."""
    summary, points, marks = test.summary, test.points, dict[str, float]()
    configured = ", ".join(f"{key} {rate:g}" for key, rate in test.configured_rates.items())
    if summary is not None and summary.suggested_factor is not None:
        suggestion = _format_rates(test, summary.suggested_factor)
        marks = {f"suggestion, 1/{SUGGESTION_DIVISOR} of the lowest: {suggestion}": summary.suggested_factor}
    curves = {
        "loss, smoothed": [(point.factor, point.smoothed) for point in points],
        "loss of each step": [(point.factor, point.loss) for point in points],
    }
    fallen = points[0].loss - min(point.loss for point in points)
    highest = points[0].loss + 0.3 * fallen if fallen > 0 else None  # a divergence would dwarf the rest
    settings = PlotSettings(f"{name}: learning rate range test", f"factor on {configured}", "nats a token", log_x=True, y_max=highest)
    draw_curves(curves, settings, path, marks)


def _explain_range(test: RangeTest) -> Iterator[str]:
    """Say which rates learn, and which one is suggested."""
    points, summary = test.points, test.summary
    if len(points) < test.factors.steps:
        yield f"Stopped after {len(points)} of {test.factors.steps} updates, at {points[-1].factor:.3g} times the configured rates."
    if summary is None:
        yield f"No suggestion: that takes {MIN_POINTS} updates."
        return
    steepest, lowest = (f"{_format_rates(test, point.factor)} ({point.factor:.3g}x)" for point in (summary.steepest, summary.lowest))
    yield f"The loss falls fastest at {steepest} and is lowest at {lowest}."
    if summary.suggested_factor is None:
        yield f"No suggestion: {summary.explanation}."
        return
    factor = summary.suggested_factor
    yield f"Suggestion: {_format_rates(test, factor)} ({factor:.3g}x), {summary.explanation}."
    yield CAUTION


def _format_rates(test: RangeTest, factor: float) -> str:
    """Write the rates as overrides."""
    return " ".join(f"{key}={rate:.2g}" for key, rate in test.rates(factor).items())
