"""`assay doctor`: is this machine ready?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from assay.cli.options import AsJson, DataDir, RunsDir
from assay.terminal.console import console, doing, print_json

if TYPE_CHECKING:
    from assay.tools.doctor import Finding, Mark

STYLES: "dict[Mark, str]" = {"ok": "green", "note": "yellow", "problem": "bold red"}


def doctor(data_dir: DataDir = None, runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """Tell what is there, what is missing, and what to do about it; exit 1 if there is a problem."""
    from assay.core.machine import facts
    from assay.tools.doctor import examine

    out = console(as_json=as_json)
    with doing(out, "the speed of matrix products"):
        findings = list(examine(data_dir, runs_dir))
    problems = sum(finding.mark == "problem" for finding in findings)
    if as_json:
        print_json({"ready": not problems, "findings": [finding._asdict() for finding in findings], "machine": facts()})
    else:
        out.print(page(findings))
        verdict = f"{problems} problem{'s' * (problems != 1)}, see above" if problems else "ready"
        out.print(Text(verdict, style=STYLES["problem" if problems else "ok"]))
    if problems:
        raise typer.Exit(1)


def page(findings: "Sequence[Finding]") -> Table:
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
