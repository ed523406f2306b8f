"""`assay diff A B`: what differs between two recipes, presets or runs."""

from typing import Annotated

import typer
from rich.table import Table

from assay.cli.options import AsJson, RunsDir, console, print_json
from assay.describe import differences, subject


def diff(
    left: Annotated[str, typer.Argument(help="A recipe, a preset or a run.", metavar="A")],
    right: Annotated[str, typer.Argument(help="Another one.", metavar="B")],
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the keys, parameter counts and FLOPs in which two things differ."""
    rows = differences(subject(left, [], runs_dir), subject(right, [], runs_dir))
    if as_json:
        print_json({key: {"left": a, "right": b} for key, (a, b) in rows.items()})
        return
    if not rows:
        console().print(f"{left} and {right} do not differ", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("", left, right):
        table.add_column(column, overflow="fold")
    for key, (a, b) in rows.items():
        table.add_row(key, *("-" if value is None else f"{value:,}" if isinstance(value, int) else str(value) for value in (a, b)))
    console().print(table)
