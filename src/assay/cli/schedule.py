"""`assay schedule RECIPE`: the learning rates over the budget."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.options import AsJson, DataDir, Overrides, Scale
from assay.terminal.console import console, print_json


def schedule(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `assay kinds recipe`) or a TOML file.")],
    overrides: Overrides = None,
    scale: Scale = None,
    data_dir: DataDir = None,
    picture: Annotated[Path | None, typer.Option("-o", "--output", help="Also draw it into this .svg or .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the learning rates over the budget."""
    from assay.experiment.config import ExperimentConfig
    from assay.reports import byte_picture
    from assay.tools.schedule import trace_schedule
    from assay.views.schedule import draw_schedule, print_schedule

    if picture is not None:
        byte_picture.check(picture, "--output")
    curve = trace_schedule(ExperimentConfig.load(recipe, overrides or [], scale), data_dir)
    if as_json:
        print_json(curve.tree())
    else:
        print_schedule(console(), curve)
    if picture is not None:
        draw_schedule(picture, Path(recipe).stem, curve)
