"""`assay watch RUN|STUDY|FOLDER`: a table and curves in the terminal while others train. It only reads, from anywhere, at any time."""

from typing import Annotated

import typer

from assay.cli.options import RunsDir
from assay.terminal.console import console


def watch(
    watched: Annotated[
        str | None,
        typer.Argument(
            help="A run, a study or a folder of runs; absent: the folder of runs, or its latest study.", metavar="[RUN|STUDY|FOLDER]"
        ),
    ] = None,
    runs_dir: RunsDir = None,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print how it stands, and end.")] = False,
) -> None:
    """Watch a run or a study: progress, curves, time left. Ends when all is finished, or with Ctrl-C, which disturbs nothing."""
    from assay.runs.directory import runs_folder
    from assay.views.watch import find_view, watch_view

    watch_view(console(), find_view(watched, runs_folder(runs_dir)), every, once=once)
