"""Print for people and, as JSON, for programs; show in a terminal what is going on."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from assay.core.files import encode_json
from assay.terminal.streams import spell_out

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline: a terminal would obey them
UNLIMITED_WIDTH = 200  # columns in a file or a pipe, where no window limits them


def make_console(*, as_json: bool = False) -> Console:
    """Make the console for people: standard output, or standard error when standard output is for JSON alone."""
    stream = sys.stderr if as_json else sys.stdout
    out = Console(stderr=as_json, highlight=False, emoji=False, file=spell_out(stream))
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = UNLIMITED_WIDTH
    return out


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    print(encode_json(value, indent=1, default=str))


class JsonResult(Protocol):
    """A result that can be written as plain values."""

    def to_dict(self) -> Any:
        """Return it as plain values."""


Result = TypeVar("Result", bound=JsonResult)


def print_result(out: Console, result: Result, show: Callable[[Console, Result], object], *, as_json: bool) -> None:
    """Print a result as one JSON document for a program, or with `show` for people."""
    if as_json:
        print_json(result.to_dict())
    else:
        show(out, result)


def print_sentences(out: Console, *sentences: str, wrap: bool = False) -> None:
    """Print each sentence as it is, on a line of its own; with `wrap` it is broken where the window ends."""
    for sentence in sentences:
        out.print(sentence, markup=False, soft_wrap=not wrap)


@contextmanager
def show_measuring(out: Console, text: str) -> Iterator[None]:
    """Show in a terminal what is being measured, without anything that moves, which would take time from the measurement."""
    if not out.is_terminal:
        yield
        return
    with Live(Text(f"measuring {text}", style="dim"), console=out, auto_refresh=False, transient=True) as live:
        live.refresh()
        yield


def show_spinner(out: Console, text: str) -> AbstractContextManager[object]:
    """Show in a terminal what is being done, beside a spinner."""
    spinner = "dots" if out.encoding.lower().startswith("utf") else "line"
    return out.status(text, spinner=spinner) if out.is_terminal else nullcontext()


@contextmanager
def show_progress_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show on standard error how much of a total is done; gives the function to call with both, or None where it is no terminal."""
    out = Console(stderr=True, highlight=False)
    if not out.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def escape_control_characters(text: str) -> str:
    """Spell out control characters, so that a model's output cannot command a terminal."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def single_line(text: object) -> str:
    """Write foreign text as one line that commands no terminal."""
    return escape_control_characters(" ".join(str(text).split()))
