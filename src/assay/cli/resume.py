"""`assay resume RUN`: go on bit for bit, or to a new total budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from assay.cli.options import AsJson, DataDir, RunName, RunsDir, Track
from assay.runs.directory import RunDirectory, find, runs_folder
from assay.terminal.console import console

if TYPE_CHECKING:
    from assay.core.parallel import Parallel
    from assay.tracking.base import Tracker


def resume(
    run: RunName,
    overrides: Annotated[list[str] | None, typer.Argument(help="A new total: train.budget=10epochs", metavar="[KEY=VALUE]...")] = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    track: Track = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a run that was stopped, as if it had not been; or extend a finished one."""
    from assay.core import parallel as processes
    from assay.tracking.console import ConsoleTracker
    from assay.tracking.several import trackers

    out = console(as_json=as_json)
    directory = find(run, runs_folder(runs_dir))
    with processes.joined() as parallel:
        tracker = trackers(ConsoleTracker(out), track or ()) if parallel.main else ConsoleTracker(Console(quiet=True))
        _resume(directory, overrides or [], data_dir, parallel, out, tracker, as_json=as_json)


def _resume(
    run: RunDirectory, overrides: list[str], data_dir: Path | None, parallel: "Parallel", out: Console, tracker: "Tracker", *, as_json: bool
) -> None:
    from assay.trainer.resume import reopen
    from assay.views.ending import opening, report

    fit = reopen(run, overrides, data_dir, (parallel, tracker))
    tracker.begin(f"assay resume {run.name}, from step {fit.state.step}", opening(fit.experiment, run))
    figures = fit.to_the_end()
    if parallel.main:
        report(out, run, figures, fit.experiment.prepared, as_json=as_json)
