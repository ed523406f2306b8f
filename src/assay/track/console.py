"""What a person sees while a model trains: a live bar in a terminal, plain lines elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from assay.track.base import Pace


def duration(seconds: float | None) -> str:
    """1:02:03, 4:05, or ? where nothing is known yet."""
    if seconds is None:
        return "?"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def pace_line(pace: Pace, loss: float) -> str:
    """The state of a run in one line of plain text."""
    return (
        f"step {pace.step}/{pace.steps or '?'}  epoch {pace.epoch:.2f}  loss {loss:.4f} nats/token  "
        f"{pace.tokens_per_second:,.0f} tokens/s  left: epoch {duration(pace.epoch_left)}, run {duration(pace.run_left)}"
    )


class ConsoleTracker:
    """Prints to a rich console; the bar appears where the console is a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        if console.is_terminal:
            short, wide = "[progress.description]{task.description}", "[progress.percentage]{task.percentage:>3.0f}%"
            self.bar = Progress(
                TextColumn(wide), BarColumn(bar_width=None if console.width >= 100 else 12), TextColumn(short), console=console
            )
            self.task = self.bar.add_task("measuring", total=None)

    def begin(self, title: str, facts: Mapping[str, str]) -> None:
        self.console.print(f"[bold]{escape(title)}[/bold]", highlight=False, soft_wrap=True)
        for name, fact in facts.items():
            self.console.print(f"  [dim]{name:<11}[/dim]{escape(fact)}", highlight=False, soft_wrap=not self.console.is_terminal)
        if self.bar is not None:
            self.bar.start()

    def metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        if self.bar is None:
            self._print(pace_line(pace, line["loss"]))
            return
        left = f"left {duration(pace.run_left)}"
        if self.console.width >= 100:
            left = f"left: epoch {duration(pace.epoch_left)}, run {duration(pace.run_left)}"
        speed = f"{pace.tokens_per_second:,.0f} tok/s " if self.console.width >= 70 else ""
        text = f"step {pace.step}/{pace.steps or '?'} epoch {pace.epoch:.2f} loss {line['loss']:.3f} {speed}{left}"
        self.bar.update(self.task, completed=pace.step, total=pace.steps, description=text)

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
            self._print(f"step {step}  sample  |{text}|", "cyan")

    def note(self, text: str) -> None:
        self._print(text)

    def end(self) -> None:
        if self.bar is not None:
            self.bar.stop()

    def _print(self, text: str, style: str | None = None) -> None:
        self.console.print(escape(text), style=style, highlight=False, soft_wrap=not self.console.is_terminal)
