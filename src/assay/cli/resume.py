"""`assay resume RUN`: go on bit for bit, or to a new total budget."""

from typing import Annotated

import typer
from rich.console import Console

from assay.cli.options import AsJson, DataDir, RunName, RunsDir, console, print_json
from assay.cli.report import finished, opening
from assay.core import parallel as processes
from assay.reopen import reopen
from assay.runs.store import find, runs_folder
from assay.track.console import ConsoleTracker


def resume(
    run: RunName,
    overrides: Annotated[list[str] | None, typer.Argument(help="A new total: train.budget=10epochs", metavar="[KEY=VALUE]...")] = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a run that was stopped, as if it had not been; or extend a finished one."""
    out = console(as_json=as_json)
    directory = find(run, runs_folder(runs_dir))
    parallel = processes.start()
    try:
        tracker = ConsoleTracker(out if parallel.main else Console(quiet=True))
        fit = reopen(directory, overrides or [], data_dir, parallel, tracker)
        tracker.begin(f"assay resume {directory.name}, from step {fit.state.step}", opening(fit.experiment, directory))
        figures = fit.to_the_end()
        if parallel.main:
            if as_json:
                print_json({"run": str(directory.path), **figures})
            else:
                finished(out, directory, figures)
    finally:
        processes.finish()
