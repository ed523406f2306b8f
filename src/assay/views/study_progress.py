"""What a person sees while the runs of a study are made: a small table in a terminal, a line for each run that begins or ends elsewhere."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from assay.core.words import duration
from assay.jobs.folder import JobState, JobStatus, counts
from assay.studies.estimate import Estimate, to_come
from assay.studies.folder import StudyFolder
from assay.studies.plan import Plan, PlannedJob

SHOWN: tuple[tuple[JobState, str], ...] = (("finished", "finished"), ("failed", "failed"), ("running", "running"))
STYLES: dict[JobState, str] = {"finished": "green", "failed": "red", "interrupted": "yellow"}


class Progress:
    """Shows where the runs stand whenever it is told."""

    def __init__(self, console: Console, study: StudyFolder, estimate: Estimate, workers: int) -> None:
        self.console, self.study, self.estimate, self.workers = console, study, estimate, workers
        self.known: dict[str, JobState] | None = None  # the state of each run when it was last seen; None before the first time
        self.statuses: Sequence[JobStatus[PlannedJob]] = ()
        self.live = Live(console=console, auto_refresh=False, get_renderable=self._render) if _moves(console) else None

    def __enter__(self) -> "Progress":
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.transient = True  # everything has been printed as lines
            self.live.stop()

    def see(self, plan: Plan, statuses: Sequence[JobStatus[PlannedJob]]) -> None:
        """Print what has changed, and show how it stands."""
        self.estimate.follow(plan)
        self.statuses = statuses
        before, self.known = self.known, {one.job.run: one.state for one in statuses}
        changed = [] if before is None else [one for one in statuses if one.state != before.get(one.job.run, "waiting")]
        if any(one.state == "finished" for one in changed) or before is None:
            self.estimate.learn(statuses)
        for one in changed:
            self.tell(self._line(one, resumed=(before or {}).get(one.job.run) == "interrupted"), STYLES.get(one.state, ""))
        if self.live is not None:
            self.live.refresh()

    def tell(self, text: str, style: str = "") -> None:
        """Print a line above the table."""
        self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)

    def _line(self, one: JobStatus[PlannedJob], *, resumed: bool) -> str:
        name, status = one.job.run, one.status
        if one.state == "finished":
            return f"finished  {name}  {status['bits_per_byte']:.4f} bits per byte   ({self._summary()})"
        if one.state == "failed":
            return f"failed    {name}: {status.get('error') or 'without a word'}; log: {self.study.log(one.job)}"
        if one.state == "running":
            return f"goes on   {name}" if resumed else f"begins    {name}"
        return f"broken off  {name}; it is made again"

    def _summary(self) -> str:
        count = counts(self.statuses)
        further = sum(to_come(self.estimate.plan).values())
        left = count["waiting"] + count["interrupted"] + further
        parts = [f"{count[state]} {name}" for state, name in SHOWN if count[state] or state == "finished"]
        parts += [f"{left} left"] if left else []
        seconds = self.estimate.left(self.statuses, self.workers)
        return ", ".join(parts) + (f"; about {duration(seconds)} left" if seconds and (left or count["running"]) else "")

    def _render(self) -> RenderableType:
        running = [one for one in self.statuses if one.state == "running"]
        room = max(0, self.console.height - 3)  # a terminal may have very few lines
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, justify="right")
        for one in running[:room]:
            table.add_row(Text(one.job.run), Text(_steps(one.status)), Text(_so_far(one.status)))
        whole = Table.grid()
        if running and room:
            whole.add_row(table)
        whole.add_row(Text(self._summary()))
        return whole


def _moves(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal and not console.quiet


def _steps(status: dict[str, Any]) -> str:
    return f"{status.get('step', 0)}/{status.get('steps') or '?'}" if status.get("state") == "running" else "beginning"


def _so_far(status: dict[str, Any]) -> str:
    best = status.get("best")
    return f"{best['bits_per_byte']:.4f} so far" if best else ""
