"""What the terminal and a picture show of `assay schedule`."""

from pathlib import Path

from rich.console import Console

from assay.reports.curve_picture import Curve, Scene, draw
from assay.terminal.curves import columns, print_curve
from assay.terminal.tables import pairs, print_table
from assay.tools.schedule import ScheduleCurve
from assay.views.configs import config_lines

POINTS = 500  # of a picture


def print_schedule(out: Console, curve: ScheduleCurve) -> None:
    """A curve, and figures."""
    out.print(pairs({**dict(config_lines({"schedule": curve.config})), **_words(curve)}))
    out.print()
    top = max(curve.factor(step) for step in curve.marked())
    labels = (f"{top:.3g}", "0")
    steps = curve.spread(columns(out, labels))
    last = f"{curve.steps:,} steps" if curve.known else "the whole budget"
    print_curve(out, [curve.factor(step) / top for step in steps], labels, ("0", last))
    out.print()
    parts = list(curve.rates(1.0))
    rows = [_cells(curve, step, parts) for step in curve.marked()]
    print_table(out, ("step", "share", "factor", *(f"lr, {part}" for part in parts)), rows, words=0, spare=2)


def draw_schedule(path: Path, name: str, curve: ScheduleCurve) -> None:
    """Write a picture of the factor, with the rates that it multiplies. Raises UserError where that cannot be."""
    rates = ", ".join(f"{part} {rate:g}" for part, rate in curve.rates(1.0).items())
    across = f"share of the budget, {curve.budget}" + (f" ({curve.steps:,} steps)" if curve.known else "")
    points = [(step / curve.steps, curve.factor(step)) for step in curve.spread(POINTS)]
    scene = Scene(f"{name}: {curve.config['kind']}", across, "factor on the learning rates", low=0.0)
    draw([Curve(f"learning rates at factor 1: {rates}", points)], scene, path)


def _words(curve: ScheduleCurve) -> dict[str, str]:
    """What the figures rest on."""
    steps = f"{curve.steps:,}"
    unknown = f"its steps are measured when a run begins; drawn as if they were {steps} (train.budget=2000steps draws 2,000)"
    told = {"budget": f"{curve.budget}: " + (f"{steps} steps" if curve.known else unknown)}
    rule, reference = curve.config["batch_rule"], curve.config.get("reference_batch")
    if reference is not None:
        told["batch"] = f"{curve.batch} rows for {reference}, {rule}: every rate times {curve.schedule.scale:.4g}"
    return told


def _cells(curve: ScheduleCurve, step: int, parts: list[str]) -> tuple[str, ...]:
    factor = curve.factor(step)
    rates = curve.rates(factor)
    return (f"{step:,}", f"{step / curve.steps:.1%}", f"{factor:.4g}", *(f"{rates[part]:.3g}" for part in parts))
