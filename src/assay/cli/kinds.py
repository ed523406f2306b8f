"""`assay kinds [FAMILY]`: what can stand where in a config."""

from typing import Annotated

import typer

from assay.cli.options import AsJson
from assay.terminal.console import console, print_json


def kinds(
    family: Annotated[str | None, typer.Argument(help="mixer, feed, position, ...; also recipe and preset.")] = None,
    traits: Annotated[bool, typer.Option("--traits", help="With mixer: tell which positions each goes with, and what it keeps.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the kinds of every family, or those of one with their settings."""
    from assay.tools.kinds import list_kinds
    from assay.views.kinds import print_kinds

    found = list_kinds(family, traits=traits)
    if as_json:
        print_json(found.tree())
    else:
        print_kinds(console(), found)
