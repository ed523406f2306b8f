"""`assay show RECIPE|PRESET|RUN`: what exactly is meant."""

from typing import Annotated

import typer
from rich.table import Table

from assay.cli.options import AsJson, Overrides, RunsDir, console, print_json
from assay.core import recipe
from assay.describe import Subject, subject


def show(
    what: Annotated[str, typer.Argument(help="A recipe, a preset of a model, or a run.")],
    overrides: Overrides = None,
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the resolved config, the modules with their shapes, parameters by role, FLOPs and memory."""
    found = subject(what, overrides or [], runs_dir)
    if as_json:
        print_json(found.tree())
        return
    out = console()
    out.print(recipe.dump(found.config), markup=False, highlight=False, soft_wrap=True)
    out.print(_shapes(found))
    out.print(_counts(found))


def _shapes(found: Subject) -> Table:
    table = Table(title="parameters", title_justify="left", box=None, pad_edge=False)
    for column in ("name", "role", "shape", "count"):
        table.add_column(column, justify="right" if column in ("shape", "count") else "left")
    for name, role, shape, count in found.parameters:
        table.add_row(name, role, " x ".join(map(str, shape)), f"{count:,}")
    return table


def _counts(found: Subject) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for role, count in found.by_role.items():
        table.add_row(f"parameters, {role}", f"{count:,}")
    table.add_row("parameters, all", f"{found.total:,}")
    table.add_row("FLOPs a token, forward", f"{found.flops_forward:,}")
    table.add_row("FLOPs a token, forward and backward", f"{found.flops_training:,}")
    for name, size in found.memory.items():
        table.add_row(f"memory, {name}", f"{size / 2**20:,.1f} MiB")
    table.add_row("at", f"vocabulary {found.vocabulary:,}, {found.rows} rows of {found.window} tokens")
    return table
