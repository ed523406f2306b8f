"""`assay watch RUN|STUDY|FOLDER`: a table and curves in the terminal while others train. It only reads, from anywhere, at any time."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console, Group
from rich.text import Text

from assay.cli.options import RunsDir
from assay.errors import RunError, nearest
from assay.terminal.console import console

MANY = 1000  # lines where nobody's window limits them


class View(Protocol):
    """Something that is watched."""

    def look(self) -> None:
        """Read what is new."""

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""

    def lines(self, width: int, height: int, *, unicode: bool) -> list[str]:
        """What is to be seen, in so much room."""


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
    from rich.live import Live

    from assay.runs.directory import runs_folder

    view, out = view_of(watched, runs_folder(runs_dir)), console()
    view.look()
    if once or not out.is_terminal or out.is_dumb_terminal:
        out.print(_drawn(view, out, MANY), crop=False, soft_wrap=True)
        return
    with suppress(KeyboardInterrupt), Live(console=out, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(_drawn(view, out, out.height - 1), refresh=True)
            if view.over:
                break
            time.sleep(every)
            view.look()


def view_of(reference: str | None, folder: Path) -> View:
    """What a name or a path means: a run, a study, or a folder of runs. Raises RunError."""
    from assay.runs.directory import CONFIG, all_runs, find
    from assay.views.watch_run import RunView
    from assay.views.watch_study import PLAN, StudyView

    places = [folder] if reference is None else [Path(reference), folder / reference]
    for place in places:
        if (place / CONFIG).is_file():
            return RunView(place.resolve())
        if (place / PLAN).is_file() or any(place.glob(f"*/{CONFIG}")):
            return StudyView(place.resolve())
    studies = [path.parent.name for path in sorted(folder.glob(f"*/{PLAN}"), key=lambda path: path.stat().st_mtime_ns)]
    if reference is None and studies:
        return StudyView((folder / studies[-1]).resolve())
    if reference is None or reference == "last" or not studies:
        return RunView(find(reference or "last", folder).path)
    raise RunError(f"no run or study '{reference}' in {folder}; {nearest(reference, [*studies, *(run.name for run in all_runs(folder))])}")


def _drawn(view: View, out: Console, height: int) -> Group:
    unicode = out.encoding.lower().startswith("utf")
    lines = view.lines(out.width, max(1, height), unicode=unicode)
    return Group(*(Text(line, "" if index else "bold", no_wrap=True, overflow="crop") for index, line in enumerate(lines)))
