"""What a person sees while a model trains: a live bar in a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from assay.core.words import duration
from assay.terminal.console import visible
from assay.tracking.base import Pace, Tracker
from assay.tracking.final import print_final_scores

REFRESH = 2  # a second: the time left counts down and nothing else moves between two lines of metrics


def pace_parts(pace: Pace, loss: float) -> tuple[str, str]:
    """The state of a run in two pieces of plain text: where it stands, and what is left."""
    return (
        f"step {pace.step}/{pace.steps or '?'}  epoch {pace.epoch:.2f}  loss {loss:.4f} nats/token  {pace.tokens_per_second:,.0f} tokens/s",
        f"left: epoch {duration(pace.epoch_left)}, run {duration(pace.run_left)}",
    )


class Bar:
    """A bar as wide as the terminal, and the figures under it in as many lines as they need."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.pace: Pace | None = None
        self.loss = 0.0
        self.at = 0.0
        self.live = Live(console=console, get_renderable=self.render, refresh_per_second=REFRESH)

    def update(self, pace: Pace, loss: float) -> None:
        """Show new figures."""
        self.pace, self.loss, self.at = pace, loss, time.monotonic()
        self.live.refresh()

    def render(self) -> RenderableType:
        """What is on the screen now; the time left goes on counting down."""
        width = self.console.width
        pace = self.pace
        if pace is None:
            return _rows(ProgressBar(total=None, width=width, pulse=True), Text("first steps"))
        since = time.monotonic() - self.at
        epoch_left, run_left = (None if left is None else max(0.0, left - since) for left in (pace.epoch_left, pace.run_left))
        parts = pace_parts(replace(pace, epoch_left=epoch_left, run_left=run_left), self.loss)
        if pace.steps is not None and pace.step >= pace.steps:
            parts = (parts[0], "scoring the whole split")
        joined = "  ".join(parts)
        lines = [joined] if len(joined) <= width else [part if len(part) <= width else part.replace(" nats/token", "") for part in parts]
        bar = ProgressBar(total=pace.steps, completed=pace.step, width=width, pulse=pace.steps is None)
        return _rows(bar, *map(Text, lines))


def _rows(*parts: RenderableType) -> Table:
    """The parts below each other; a grid, because a bar does not end its own line."""
    grid = Table.grid()
    for part in parts:
        grid.add_row(part)
    return grid


class ConsoleTracker(Tracker):
    """Prints to a rich console; the bar appears where the console is a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Bar(console) if console.is_terminal and not (console.is_dumb_terminal or console.quiet) else None

    def waiting(self, text: str) -> AbstractContextManager[object]:
        return self.console.status(text) if self.console.is_terminal else nullcontext()

    def begin(self, title: str, facts: Mapping[str, str]) -> None:
        self._print(title, "bold")
        if self.bar is None:
            for name, fact in facts.items():
                self._print(f"  {name:<11}{fact}")
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for name, fact in facts.items():
            grid.add_row(Text(f"  {name}"), Text(fact))
        self.console.print(grid)
        self.bar.live.start()

    def metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        if self.bar is None:
            self._print("  ".join(pace_parts(pace, line["loss"])))
        else:
            self.bar.update(pace, line["loss"])

    def validation(self, line: Mapping[str, Any], best: bool) -> None:
        figures = line["validation"]
        share = "" if figures["coverage"] == 1 else f" (sample {100 * figures['coverage']:.2g} %)"
        self._print(
            f"step {line['step']}  validation{share} {figures['bits_per_byte']:.4f} +- {figures['standard_error']:.4f} bits per byte"
            f"  {figures['nats_per_token']:.4f} nats/token{'  best so far' if best else ''}",
            "green" if best else "yellow",
        )

    def sample(self, step: int, texts: Sequence[str]) -> None:
        for text in texts:
            self._print(f"step {step}  sample  |{visible(text)}|", "cyan")

    def scores(self, step: int, figures: Mapping[str, Any]) -> None:
        self.end()  # the bar, whose work is done
        print_final_scores(self.console, figures)

    def note(self, text: str) -> None:
        self._print(text)

    def end(self) -> None:
        if self.bar is not None:
            self.bar.live.transient = self.bar.pace is None  # a bar without figures leaves nothing behind
            self.bar.live.stop()

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)
