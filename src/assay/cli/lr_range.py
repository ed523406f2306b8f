"""`assay lr-range RECIPE`: which learning rate?"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from assay.cli.options import AsJson, DataDir, Overrides, Scale
from assay.terminal.console import console, print_json
from assay.terminal.curves import columns, print_curve
from assay.terminal.tables import print_table

if TYPE_CHECKING:
    from assay.experiment.config import ExperimentConfig
    from assay.tools.lr_range import Finding, Point, Sweep

ROWS = 12  # of the table
CAUTION = "A starting point and not a tuned value: what is best for a whole run also depends on its length, schedule and batch."


def lr_range(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `assay kinds recipe`) or a TOML file.")],
    overrides: Overrides = None,
    low: Annotated[float, typer.Option("--from", help="The first rates, as a multiple of the configured ones.")] = 0.01,
    high: Annotated[float, typer.Option("--to", help="The last rates, as a multiple of the configured ones.")] = 100.0,
    steps: Annotated[int, typer.Option("--steps", help="Updates from the first to the last.")] = 100,
    scale: Scale = None,
    data_dir: DataDir = None,
    picture: Annotated[Path | None, typer.Option("-o", "--output", help="Also draw it into this .svg or .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train a few steps with rising learning rates, and tell which ones learn."""
    from assay.core.parallel import Parallel
    from assay.experiment.assemble import assemble
    from assay.experiment.config import ExperimentConfig
    from assay.experiment.load import load_data
    from assay.reports import byte_picture
    from assay.tools.lr_range import Sweep, finding, measure

    sweep = Sweep(low, high, steps).checked()
    if picture is not None:
        byte_picture.check(picture, "--output")
    config = ExperimentConfig.load(recipe, overrides or [], scale)
    out = console(as_json=as_json)
    with _waiting(out, "preparing the text"):
        prepared = load_data(config, data_dir)
    experiment = assemble(config, prepared, Parallel())
    points: list[Point] = []
    try:
        with _waiting(out, f"training up to {steps} steps (Ctrl-C shows what was measured)"):
            points.extend(point for point in measure(experiment, sweep))
    finally:  # what was measured before Ctrl-C is shown
        found = finding(points)
        if points and as_json:
            print_json(_tree(config, sweep, points, found))
        elif points:
            _show(out, config, sweep, points)
        if points and picture is not None:
            _draw(picture, Path(recipe).stem, config, points)


def _show(out: Console, config: "ExperimentConfig", sweep: "Sweep", points: "Sequence[Point]") -> None:
    """A curve, figures, and what they mean."""
    from assay.tools.lr_range import rates

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
        (f"{point.factor:.3g}", *(f"{rate:.3g}" for rate in rates(config, point.factor).values()), f"{point.loss:.4f}",
         f"{point.smoothed:.4f}")
        for point in picked
    ]  # fmt: skip
    print_table(out, ("factor", *rates(config), "loss", "smoothed"), rows, words=0, spare=len(rates(config)) + 1)
    out.print()
    for sentence in sentences(config, sweep, points):
        out.print(sentence, markup=False)


def sentences(config: "ExperimentConfig", sweep: "Sweep", points: "Sequence[Point]") -> list[str]:
    """What the points mean."""
    from assay.tools.lr_range import FEWEST, finding

    told = []
    if len(points) < sweep.steps:
        told.append(f"Stopped after {len(points)} of {sweep.steps} updates, at {points[-1].factor:.3g} times the configured rates.")
    found = finding(points)
    if found is None:
        return [*told, f"No suggestion: that takes {FEWEST} updates."]
    steepest, lowest = (f"{_settings(config, point.factor)} ({point.factor:.3g}x)" for point in (found.steepest, found.lowest))
    told.append(f"The loss falls fastest at {steepest} and is lowest at {lowest}.")
    if found.factor is None:
        return [*told, f"No suggestion: {found.words}."]
    return [*told, f"Suggestion: {_settings(config, found.factor)} ({found.factor:.3g}x), {found.words}.", CAUTION]


def _settings(config: "ExperimentConfig", factor: float) -> str:
    """The rates as overrides."""
    from assay.tools.lr_range import rates

    return " ".join(f"{key}={rate:.2g}" for key, rate in rates(config, factor).items())


def _tree(config: "ExperimentConfig", sweep: "Sweep", points: "Sequence[Point]", found: "Finding | None") -> dict[str, Any]:
    """The figures for programs."""
    from assay.tools.lr_range import rates

    suggested = None if found is None or found.factor is None else rates(config, found.factor)
    return {
        **sweep._asdict(),
        "configured": rates(config),
        "points": [point._asdict() for point in points],
        "steepest": None if found is None else found.steepest.factor,
        "lowest": None if found is None else found.lowest.factor,
        "suggestion": suggested,
        "rule": None if found is None else found.words,
    }


def _draw(path: Path, name: str, config: "ExperimentConfig", points: "Sequence[Point]") -> None:
    """The losses over the factor, with the suggestion."""
    from assay.reports.curve_picture import Curve, Mark, Scene, draw
    from assay.tools.lr_range import BELOW_LOWEST, finding, rates

    found, configured = finding(points), ", ".join(f"{key} {rate:g}" for key, rate in rates(config).items())
    marks = []
    if found is not None and found.factor is not None:
        marks.append(Mark(f"suggestion, 1/{BELOW_LOWEST} of the lowest: {_settings(config, found.factor)}", found.factor))
    curves = [
        Curve("loss, smoothed", [(point.factor, point.smoothed) for point in points]),
        Curve("loss of each step", [(point.factor, point.loss) for point in points]),
    ]
    fallen = points[0].loss - min(point.loss for point in points)
    highest = points[0].loss + 0.3 * fallen if fallen > 0 else None  # a divergence would dwarf the rest
    scene = Scene(f"{name}: learning rate range test", f"factor on {configured}", "nats a token", logarithmic=True, high=highest)
    draw(curves, scene, path, marks)


def _waiting(out: Console, text: str) -> AbstractContextManager[object]:
    return out.status(text) if out.is_terminal else nullcontext()
