"""`assay show RECIPE|PRESET|RUN`: what exactly is meant."""

from typing import Annotated

import typer

from assay.cli.options import AsJson, Overrides, RunsDir, Scale
from assay.terminal.console import console, print_json


def show(
    what: Annotated[str, typer.Argument(help="A recipe, a preset of a model, or a run.")],
    overrides: Overrides = None,
    scale: Scale = None,
    runs_dir: RunsDir = None,
    as_toml: Annotated[bool, typer.Option("--toml", help="Print the resolved config as a recipe and nothing else.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the resolved config, the shapes, parameters by role, FLOPs and memory."""
    from assay.core import recipe
    from assay.experiment.describe import subject
    from assay.views.show import print_description

    found = subject(what, overrides or [], runs_dir, scale).tree()
    if as_json:
        print_json(found)
    elif as_toml:
        print(recipe.dump(found["config"]), end="")
    else:
        print_description(console(), found)
