"""Help pages in terminals of any width: where there is no room for two columns, explanations stand below what they explain."""

import shutil
import textwrap
from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

MAX_COLUMNS = 80  # of a help page: longer lines are hard to read
MIN_COLUMNS = 16  # fewer hold no word
MIN_ROOM = 20  # columns beside options, in which an explanation can be read
INDENT = 4  # of an explanation, where it stands below


def page_width() -> int:
    """Compute the width of a help page in this terminal."""
    return max(MIN_COLUMNS, min(shutil.get_terminal_size().columns, MAX_COLUMNS) - 2)


class HelpFormatter(typer.Context.formatter_class):  # type: ignore[misc, valid-type]  # typer's own, or click's
    """Lays out a help page."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write how the command is called; each further line is indented alike."""
        text = f"{'Usage: ' if prefix is None else prefix}{prog} {args}"
        if len(text) > self.width:
            self.write("\n".join(textwrap.wrap(text, self.width, subsequent_indent=" " * INDENT)) + "\n")
        else:
            super().write_usage(prog, args, prefix)

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write options or commands, each with its explanation."""
        rows = list(rows)
        first = min(max((len(term) for term, _ in rows), default=0), col_max) + col_spacing
        if self.width - first - self.current_indent >= MIN_ROOM:
            super().write_dl(rows, col_max, col_spacing)
            return
        for term, explanation in rows:
            for text, indent in ((term.rstrip(), self.current_indent), (explanation, self.current_indent + INDENT)):
                lines = textwrap.wrap(text, self.width, initial_indent=" " * indent, subsequent_indent=" " * indent)
                self.write("".join(f"{line}\n" for line in lines))


class HelpContext(typer.Context):
    """Makes the pages of one command."""

    formatter_class: Any = HelpFormatter


class HelpCommand(TyperCommand):
    """A command whose help fits the terminal."""

    context_class: Any = HelpContext


class HelpGroup(TyperGroup):
    """A group of commands whose help fits the terminal."""

    context_class: Any = HelpContext

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """Make the context as usual, but for the width of its pages."""
        return super().make_context(*arguments, **{"terminal_width": page_width(), **named})
