"""The console that people read, JSON for programs, and text that cannot command a terminal."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

WIDE = 200  # columns where nobody's window limits them: in a file or a pipe


def console(*, as_json: bool = False) -> Console:
    """Where people read: standard output, or standard error when that is for JSON alone."""
    out = Console(stderr=as_json, highlight=False, emoji=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = WIDE
    return out


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=1, default=str))


@contextmanager
def doing(out: Console, text: str) -> Iterator[None]:
    """Say what is measured, in a terminal. Nothing moves meanwhile, as that would take time from it."""
    if not out.is_terminal:
        yield
        return
    with Live(Text(f"measuring {text}", style="dim"), console=out, auto_refresh=False, transient=True) as live:
        live.refresh()
        yield


def waiting(out: Console, text: str) -> AbstractContextManager[object]:
    """Say what is being done, in a terminal, beside something that moves."""
    return out.status(text) if out.is_terminal else nullcontext()


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline: a terminal would obey them


def visible(text: str) -> str:
    """`text` with control characters spelt out, so that what a young model writes cannot command a terminal."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
