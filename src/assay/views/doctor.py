"""What the terminal shows of `assay doctor`."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.core.words import plural
from assay.tools.doctor import Examination, Finding, Mark

STYLES: dict[Mark, str] = {"ok": "green", "note": "yellow", "problem": "bold red"}


def print_examination(out: Console, found: Examination) -> None:
    """The findings and the verdict."""
    out.print(page(found.findings))
    verdict = f"{plural(found.problems, 'problem')}, see above" if found.problems else "ready"
    out.print(Text(verdict, style=STYLES["problem" if found.problems else "ok"]))


def page(findings: Sequence[Finding]) -> Table:
    """One line each: mark, topic, fact, and under it the remedy."""
    grid = Table.grid(padding=(0, 2))
    for _ in range(2):
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for topic, mark, fact, remedy in findings:
        grid.add_row(Text(mark, style=STYLES[mark]), Text(topic), Text(fact))
        if remedy:
            grid.add_row("", "", Text(f"-> {remedy}", style="bold" if mark == "problem" else "dim"))
    return grid
