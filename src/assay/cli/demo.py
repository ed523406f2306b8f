"""`assay demo lies`: six ways in which numbers of small models lie, each done wrong and right on real text."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.options import AsJson, DataDir
from assay.errors import UserError, nearest
from assay.terminal.console import console, print_json


def demo(
    demonstration: Annotated[str, typer.Argument(help="lies: the only one that there is.", metavar="lies")],
    only: Annotated[list[int] | None, typer.Option("--only", min=1, max=6, help="A lie by its number; again for more.")] = None,
    size: Annotated[str, typer.Option("--scale", help="full, or tiny: a tenth of the steps, to see that it works.")] = "full",
    seed: Annotated[int, typer.Option(min=0, help="Decides all but the times.")] = 0,
    page: Annotated[Path | None, typer.Option("--output", "-o", help="A Markdown page whose figures are written anew.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show six ways in which numbers of small models lie: done wrong, done right, on real text."""
    from assay.demo.demonstrate import Demonstrations, Program, demonstrate
    from assay.views.demo import print_heading, print_program, print_result

    if demonstration != "lies":
        raise UserError(f"no demonstration '{demonstration}'; {nearest(demonstration, ['lies'])}")
    out, program = console(as_json=as_json), Program.choose(only or (), size, seed, data_dir)

    def show(found: Demonstrations) -> None:  # for people it is shown already
        if as_json:
            print_json(found.tree())

    print_program(out, program)
    show(demonstrate(program, page, partial(print_heading, out), partial(print_result, out), show))
