"""Watching runs and studies in the terminal: which view a name means, and drawing it once or again and again."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from assay.errors import RunError, nearest
from assay.runs.directory import CONFIG, all_runs, find
from assay.tools.run_list import PLAN
from assay.views.watch_run import RunView
from assay.views.watch_study import StudyView

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


def find_view(reference: str | None, folder: Path) -> View:
    """Find what a name or a path means: a run, a study, or a folder of runs. Raises RunError."""
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


def watch_view(out: Console, view: View, seconds: float, *, once: bool = False) -> None:
    """Draw a view every so many seconds until it is over, or Ctrl-C; only `once` where asked, or where no terminal can be redrawn."""
    view.look()
    if once or not out.is_terminal or out.is_dumb_terminal:
        out.print(_drawn(view, out, MANY), crop=False, soft_wrap=True)
        return
    with suppress(KeyboardInterrupt), Live(console=out, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(_drawn(view, out, out.height - 1), refresh=True)
            if view.over:
                break
            time.sleep(seconds)
            view.look()


def _drawn(view: View, out: Console, height: int) -> Group:
    unicode = out.encoding.lower().startswith("utf")
    lines = view.lines(out.width, max(1, height), unicode=unicode)
    return Group(*(Text(line, "" if index else "bold", no_wrap=True, overflow="crop") for index, line in enumerate(lines)))
