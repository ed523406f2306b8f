"""What the terminal and a picture show of `assay lr-range`."""

from pathlib import Path

from rich.console import Console

from assay.reports.curve_picture import Curve, Mark, Scene, draw
from assay.terminal.curves import columns, print_curve
from assay.terminal.tables import print_table
from assay.tools.lr_range import BELOW_LOWEST, FEWEST, RangeTest

ROWS = 12  # of the table
CAUTION = "A starting point and not a tuned value: what is best for a whole run also depends on its length, schedule and batch."


def print_range(out: Console, test: RangeTest) -> None:
    """A curve, figures, and what they mean."""
    points = test.points
    first, lowest = points[0], min(point.smoothed for point in points)
    highest = first.smoothed if first.smoothed > lowest else max(point.smoothed for point in points)  # a divergence would dwarf the rest
    labels = (f"{highest:.3f}", f"{lowest:.3f}")
    width = min(columns(out, labels), max(len(points), 20))
    shown = [points[round(index * (len(points) - 1) / max(1, width - 1))] for index in range(width)]
    span = (highest - lowest) or 1.0
    out.print("smoothed loss, nats/token")
    print_curve(out, [(point.smoothed - lowest) / span for point in shown], labels, (f"x {first.factor:.3g}", f"x {points[-1].factor:.3g}"))
    out.print()
    picked = [points[index] for index in sorted({round(i * (len(points) - 1) / (ROWS - 1)) for i in range(ROWS)})]
    rows = [
        (
            f"{point.factor:.3g}",
            *(f"{rate:.3g}" for rate in test.rates(point.factor).values()),
            f"{point.loss:.4f}",
            f"{point.smoothed:.4f}",
        )
        for point in picked
    ]
    print_table(out, ("factor", *test.configured, "loss", "smoothed"), rows, words=0, spare=len(test.configured) + 1)
    out.print()
    for sentence in _sentences(test):
        out.print(sentence, markup=False)


def draw_range(path: Path, name: str, test: RangeTest) -> None:
    """Write a picture of the losses over the factor, with the suggestion. Raises UserError where that cannot be."""
    found, points = test.finding, test.points
    configured = ", ".join(f"{key} {rate:g}" for key, rate in test.configured.items())
    marks = []
    if found is not None and found.factor is not None:
        marks.append(Mark(f"suggestion, 1/{BELOW_LOWEST} of the lowest: {_settings(test, found.factor)}", found.factor))
    curves = [
        Curve("loss, smoothed", [(point.factor, point.smoothed) for point in points]),
        Curve("loss of each step", [(point.factor, point.loss) for point in points]),
    ]
    fallen = points[0].loss - min(point.loss for point in points)
    highest = points[0].loss + 0.3 * fallen if fallen > 0 else None  # a divergence would dwarf the rest
    scene = Scene(f"{name}: learning rate range test", f"factor on {configured}", "nats a token", logarithmic=True, high=highest)
    draw(curves, scene, path, marks)


def _sentences(test: RangeTest) -> list[str]:
    """What the points mean."""
    told, points, found = [], test.points, test.finding
    if len(points) < test.sweep.steps:
        told.append(f"Stopped after {len(points)} of {test.sweep.steps} updates, at {points[-1].factor:.3g} times the configured rates.")
    if found is None:
        return [*told, f"No suggestion: that takes {FEWEST} updates."]
    steepest, lowest = (f"{_settings(test, point.factor)} ({point.factor:.3g}x)" for point in (found.steepest, found.lowest))
    told.append(f"The loss falls fastest at {steepest} and is lowest at {lowest}.")
    if found.factor is None:
        return [*told, f"No suggestion: {found.words}."]
    return [*told, f"Suggestion: {_settings(test, found.factor)} ({found.factor:.3g}x), {found.words}.", CAUTION]


def _settings(test: RangeTest, factor: float) -> str:
    """The rates as overrides."""
    return " ".join(f"{key}={rate:.2g}" for key, rate in test.rates(factor).items())
