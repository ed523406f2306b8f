"""`assay resume RUN`: go on bit for bit, or to a new total budget."""

from typing import Annotated

import typer

from assay.cli.options import AsJson, DataDir, RunName, RunsDir, Track
from assay.terminal.console import console


def resume(
    run: RunName,
    overrides: Annotated[list[str] | None, typer.Argument(help="A new total: train.budget=10epochs", metavar="[KEY=VALUE]...")] = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    track: Track = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a run that was stopped, as if it had not been; or extend a finished one."""
    from assay import api
    from assay.tracking.console import ConsoleTracker
    from assay.views.run_summary import print_run_summary

    out = console(as_json=as_json)
    found = api.resume(run, *(overrides or []), runs_dir=runs_dir, data_dir=data_dir, track=track or (), tracker=ConsoleTracker(out))
    print_run_summary(out, found, as_json=as_json)
