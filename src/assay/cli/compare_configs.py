"""`assay diff A B`: what differs between two recipes, presets or runs."""

from typing import Annotated

import typer

from assay.cli.options import AsJson, RunsDir
from assay.terminal.console import console, print_json


def diff(
    left: Annotated[str, typer.Argument(help="A recipe, a preset or a run.", metavar="A")],
    right: Annotated[str, typer.Argument(help="Another one.", metavar="B")],
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the keys, parameter counts and FLOPs in which two things differ."""
    from assay.tools.diff import diff_configs
    from assay.views.diff import print_diff

    found = diff_configs(left, right, runs_dir)
    if as_json:
        print_json(found.tree())
    else:
        print_diff(console(), found)
