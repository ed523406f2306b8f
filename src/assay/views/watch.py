"""Watch a run or a study in the terminal: draw a view once or again and again. Imports no torch."""

import textwrap
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from assay.core.words import format_duration, format_steps
from assay.errors import RunError, suggest
from assay.runs.directory import CONFIG, PLAN, find_beginning, list_runs, list_study_folders
from assay.runs.lookup import AmbiguousRunError, find_run
from assay.runs.standard_error import describe_standard_error
from assay.terminal.charts import MAX_WIDTH, draw_chart, draw_progress_bar
from assay.terminal.console import single_line
from assay.tracking.base import SCORE_LABELS
from assay.tracking.monitor import RunMonitor, current_state
from assay.views.watch_study import StudyView

CHART_LINES, SAMPLE_LINES, METRICS_LINES = 16, 3, 4  # at most
OVER = ("finished", "failed", "interrupted", "killed", "gone")  # states in which nothing is written
UNLIMITED_HEIGHT = 1000  # lines where no window limits them


class View(Protocol):
    """Something that is watched."""

    def refresh(self) -> None:
        """Read what is new."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""

    def lines(self, width: int, height: int, *, unicode: bool) -> list[str]:
        """Draw the most important lines, in so much room."""


def find_view(reference: str | None, folder: Path) -> View:
    """Find what a name or a path means: a run, a study, or a folder of runs. Raises RunError."""
    places = [folder] if reference is None else [Path(reference), folder / reference]
    for place in places:
        if (place / CONFIG).is_file():
            return RunView(place.resolve())
        if (place / PLAN).is_file() or any(place.glob(f"*/{CONFIG}")):
            return StudyView(place.resolve())
    studies = sorted(list_study_folders(folder), key=find_beginning)
    if reference is None and studies:
        return StudyView(studies[-1].resolve())
    if reference is None or reference == "last" or not studies:
        return RunView(find_run(reference or "last", folder).path)
    try:
        return RunView(find_run(reference, folder).path)
    except AmbiguousRunError:
        raise
    except RunError:
        names = [*(path.name for path in studies), *(run.name for run in list_runs(folder))]
    raise RunError(f"no run or study '{reference}' in {folder}; {suggest(reference, names)}")


def watch_view(out: Console, view: View, seconds: float, *, once: bool = False) -> None:
    """Draw a view every so many seconds until it is finished, or Ctrl-C; with `once`, and where no terminal can be redrawn, only once."""
    view.refresh()
    if once or not out.is_terminal or out.is_dumb_terminal:
        out.print(_draw(view, out, UNLIMITED_HEIGHT), crop=False, soft_wrap=True)
        return
    with suppress(KeyboardInterrupt), Live(console=out, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(_draw(view, out, out.height - 1), refresh=True)
            if view.finished:
                break
            time.sleep(seconds)
            view.refresh()


def _draw(view: View, out: Console, height: int) -> Group:
    unicode = out.encoding.lower().startswith("utf")
    lines = view.lines(out.width, max(1, height), unicode=unicode)
    return Group(*(Text(line, "" if index else "bold", no_wrap=True, overflow="crop") for index, line in enumerate(lines)))


class RunView(RunMonitor):
    """One run: its state, its curves, a sample of its text, its last lines."""

    @property
    def state(self) -> str:
        """The recorded state; `killed` where its process is gone, `gone` where its directory is."""
        return current_state(self.status) if self.exists else "gone"

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.state in OVER

    def lines(self, width: int, height: int, *, unicode: bool) -> list[str]:
        """Draw as much as there is room for, the most important first."""
        width = min(width, MAX_WIDTH)
        head = self._head(width, unicode=unicode)
        below = [*self._sample(width), *(f"  {format_metrics(line)}" for line in self.recent_lines[-METRICS_LINES:])]
        room = height - len(head) - 2  # for the chart with its title
        if room - len(below) < 6:
            below = below[-max(0, room - 10) :] if room > 10 else []
        losses = [(float(step), loss) for step, loss in self.losses]
        validations = [(float(step), figures["nats_per_token"]) for step, figures in self.validations]
        drawn = draw_chart(losses, validations, (width, min(CHART_LINES, room - len(below))), unicode=unicode)
        marks = ("⠒ training", "● validation") if unicode else (". training", "o validation")
        title = ["", f"nats/token   {'   '.join(marks)}"] if drawn else []
        return [*head, *title, *drawn, *below][:height]

    def _head(self, width: int, *, unicode: bool) -> list[str]:
        share = 0.0 if not self.steps else self.step / self.steps
        head = [
            f"{self.run.name}  {self.state}  step {format_steps(self.step, self.steps)}",
            draw_progress_bar(share, width, unicode=unicode),
        ]
        if self.state == "running":
            speed = self.timing.get("tokens_per_second")
            head.append(f"left {format_duration(self.seconds_left)}   {'?' if speed is None else f'{speed:,.0f}'} tokens/s")
        if self.best is not None:
            scored = (self.status.get("scores") or {}).get("best")
            which = "best checkpoint, whole split" if scored else "best so far"
            head.append(f"{self.best['bits_per_byte']:.4f} +- {describe_standard_error(self.best)} bits/byte, {which}")
        if self.state == "failed":
            head.append(f"failed: {single_line(self.status.get('error'))}")
        if self.state in ("interrupted", "killed"):
            head.append(f"go on with: assay resume {self.run.path}")
        return head

    def _sample(self, width: int) -> list[str]:
        text = self.read_last_sample()
        return [] if not text else ["", *textwrap.wrap(f"  wrote: {single_line(text)}", width, subsequent_indent="  ")[:SAMPLE_LINES]]


def format_metrics(line: dict[str, Any]) -> str:
    """Format a line of metrics."""
    for name, label in SCORE_LABELS.items():
        if name in line:
            bits, error = _format_figure(line[name]["bits_per_byte"]), describe_standard_error(line[name])
            return f"step {line['step']}  {label} {bits} +- {error} bits per byte"
    return f"step {line.get('step')}  loss {_format_figure(line.get('loss'))} nats/token"


def _format_figure(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.4f}"
