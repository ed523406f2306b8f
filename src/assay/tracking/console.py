"""Show a run in the console: a live bar in a terminal, plain lines elsewhere, and the final scores as a table."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from threading import Timer
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from assay.core.words import format_duration
from assay.runs.standard_error import describe_standard_error
from assay.terminal.console import escape_control_characters, show_spinner
from assay.terminal.tables import print_table
from assay.tracking.base import SCORE_LABELS, FurtherScore, Pace, Tracker
from assay.training.clock import training_seconds

SLOW = 3.0  # seconds after which a file or a pipe is told what a run is still preparing
REFRESH = 2  # times a second: between two lines of metrics only the time left changes
FINAL_ROWS = {"validation, best": "best", "validation, last": "last", "validation, average": "average", "training, last": "training"}


def format_pace(pace: Pace, loss: float) -> tuple[str, str]:
    """Format the progress of a run as two texts: what is done, and the time left, for the epoch too where the run sees its end."""
    ends_first = pace.epoch_left is None and pace.run_left is not None
    left = [] if ends_first else [f"epoch {format_duration(pace.epoch_left)}"]
    return (
        f"step {pace.step}/{pace.steps or '?'}  epoch {pace.epoch:.2f}  loss {loss:.4f} nats/token  {pace.tokens_per_second:,.0f} tokens/s",
        f"left: {', '.join([*left, f'run {format_duration(pace.run_left)}'])}",
    )


def format_score(step: int, label: str, metrics: Mapping[str, Any]) -> str:
    """Format a score that was taken while training."""
    return (
        f"step {step}  {label} {metrics['bits_per_byte']:.4f} +- {describe_standard_error(metrics)} bits per byte"
        f"  {metrics['nats_per_token']:.4f} nats/token"
    )


class LiveProgressBar:
    """A bar as wide as the terminal, and the progress under it in as many lines as it needs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.pace: Pace | None = None
        self.loss = 0.0
        self.updated_at = 0.0
        self.live = Live(console=console, get_renderable=self.render, refresh_per_second=REFRESH)

    def update(self, pace: Pace, loss: float) -> None:
        """Show new values."""
        self.pace, self.loss, self.updated_at = pace, loss, time.monotonic()
        self.live.refresh()

    def render(self) -> RenderableType:
        """Draw the bar and the progress; the time left counts down between updates."""
        width = self.console.width
        pace = self.pace
        if pace is None:
            return _stack(ProgressBar(total=None, width=width, pulse=True), Text("first steps"))
        elapsed = time.monotonic() - self.updated_at
        epoch_left, run_left = (None if left is None else max(0.0, left - elapsed) for left in (pace.epoch_left, pace.run_left))
        parts = format_pace(replace(pace, epoch_left=epoch_left, run_left=run_left), self.loss)
        if pace.steps is not None and pace.step >= pace.steps:
            parts = (parts[0], "scoring the whole split")
        joined = "  ".join(parts)
        lines = [joined] if len(joined) <= width else [part if len(part) <= width else part.replace(" nats/token", "") for part in parts]
        bar = ProgressBar(total=pace.steps, completed=pace.step, width=width, pulse=pace.steps is None)
        return _stack(bar, *map(Text, lines))


def _stack(*parts: RenderableType) -> Table:
    """Put the parts below each other, in a grid, because a bar does not end its own line."""
    grid = Table.grid()
    for part in parts:
        grid.add_row(part)
    return grid


class ConsoleTracker(Tracker):
    """Prints to a rich console; the bar appears where the console is a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = LiveProgressBar(console) if console.is_terminal and not (console.is_dumb_terminal or console.quiet) else None

    def show_busy(self, text: str) -> AbstractContextManager[object]:
        return show_spinner(self.console, text) if self.console.is_terminal else self._print_if_slow(text)

    @contextmanager
    def _print_if_slow(self, text: str) -> Iterator[None]:
        """Print what is being done as soon as it takes long, where nothing can move."""
        timer = Timer(SLOW, self._print, (f"{text} ...",))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def start(self, title: str, description: Mapping[str, str]) -> None:
        self._print(title, "bold")
        if self.bar is None:
            for name, text in description.items():
                self._print(f"  {name:<11}{text}")
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for name, text in description.items():
            grid.add_row(Text(f"  {name}"), Text(text))
        self.console.print(grid)
        self.bar.live.start()

    def log_metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        if self.bar is None:
            self._print("  ".join(format_pace(pace, line["loss"])))
        else:
            self.bar.update(pace, line["loss"])

    def log_validation(self, line: Mapping[str, Any], best: bool) -> None:
        metrics = line["validation"]
        share = "" if metrics["coverage"] == 1 else f" (sample {100 * metrics['coverage']:.2g} %)"
        text = format_score(line["step"], f"{SCORE_LABELS['validation']}{share}", metrics)
        self._print(f"{text}{'  best so far' if best else ''}", "green" if best else "yellow")

    def log_further_score(self, line: Mapping[str, Any], name: FurtherScore) -> None:
        self._print(format_score(line["step"], SCORE_LABELS[name], line[name]), "yellow")

    def log_samples(self, step: int, texts: Sequence[str]) -> None:
        for text in texts:
            self._print(f"step {step}  sample  |{escape_control_characters(text)}|", "cyan")

    def log_final_scores(self, step: int, results: Mapping[str, Any]) -> None:
        self.close()  # the bar is no longer needed
        print_final_scores(self.console, results)

    def log_message(self, text: str) -> None:
        self._print(text)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.live.transient = self.bar.pace is None  # a bar that never showed anything is removed
            self.bar.live.stop()

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)


def print_final_scores(console: Console, results: Mapping[str, Any]) -> None:
    """Print every score of a finished run, the gap between validation and training, and the time that the steps took."""
    scores = results["scores"]
    rows = []
    for label, key in FINAL_ROWS.items():
        if key not in scores:
            continue
        score = scores[key]
        bits, nats = (f"{score[name]:.4f}" for name in ("bits_per_byte", "nats_per_token"))
        rows.append((label, bits, describe_standard_error(score), nats, f"{score['bytes_scored']:,}"))
    console.print("\neach byte of the split scored once, without dropout:", markup=False)
    print_table(console, ("", "bits/byte", "+-", "nats/token", "bytes"), rows)
    gap = scores["last"]["bits_per_byte"] - scores["training"]["bits_per_byte"]
    console.print(f"gap between validation and training: {gap:+.4f} bits per byte")
    error = "" if results["time_left_error"] is None else f"; time left was off by {100 * results['time_left_error']:.1f} % on average"
    console.print(f"training steps took {format_duration(training_seconds(results['seconds']))}{error}")
