"""`assay verify-resume RECIPE`: one run straight through, one killed and resumed, and what differs."""

from functools import partial
from typing import Annotated

import typer

from assay.cli.options import AsJson, DataDir, Overrides, RunsDir
from assay.errors import AssayError
from assay.terminal.console import console, print_json


def verify_resume(
    recipe: Annotated[str, typer.Argument(help="A recipe; shorten it with train.budget=40steps.")],
    overrides: Overrides = None,
    kills: Annotated[int, typer.Option(min=1, help="How often the second run is killed.")] = 3,
    seed: Annotated[int, typer.Option(help="Decides the moments.")] = 0,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Prove that a run killed at random moments and resumed equals one that was never stopped; exit 0 only if it does."""
    from assay.tools import verify_resume as tool

    say = partial(console(as_json=as_json).print, highlight=False)
    found = tool.verify_resume(recipe, overrides or [], kills, seed, runs_dir, data_dir, say)
    if as_json:
        print_json(found.tree())
    if found.differences:
        raise AssayError(f"resume is not exact; different: {', '.join(found.differences)}")
    if not as_json:
        say(f"identical: weights, optimiser and metrics of {found.steps} steps, killed {found.kills} times")
