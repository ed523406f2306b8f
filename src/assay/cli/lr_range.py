"""`assay lr-range RECIPE`: which learning rate?"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.options import AsJson, DataDir, Overrides, Scale
from assay.terminal.console import console, print_json, waiting

if TYPE_CHECKING:
    from assay.tools.lr_range import RangeTest


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
    from assay.experiment.config import ExperimentConfig
    from assay.reports import byte_picture
    from assay.tools.lr_range import Sweep, sweep_learning_rates
    from assay.views.lr_range import draw_range, print_range

    sweep = Sweep(low, high, steps).checked()
    if picture is not None:
        byte_picture.check(picture, "--output")
    config = ExperimentConfig.load(recipe, overrides or [], scale)
    out = console(as_json=as_json)

    def show(test: "RangeTest") -> None:
        if as_json:
            print_json(test.tree())
        elif test.points:
            print_range(out, test)
        if picture is not None and test.points:
            draw_range(picture, Path(recipe).stem, test)

    show(sweep_learning_rates(config, sweep, data_dir, partial(waiting, out), show))
