"""`assay kinds [FAMILY]`: what can stand where in a config."""

from typing import Annotated

import typer

from assay.cli.options import AsJson
from assay.errors import UserError, nearest
from assay.terminal.console import console, print_json


def kinds(
    family: Annotated[str | None, typer.Argument(help="mixer, feed, position, ...; also recipe and preset.")] = None,
    traits: Annotated[bool, typer.Option("--traits", help="With mixer: tell which positions each goes with, and what it keeps.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the kinds of every family, or those of one with their settings."""
    from assay.core.catalogue import catalogue, recipes
    from assay.views.kinds import print_families, print_kinds, print_pairs

    if traits and family != "mixer":
        raise UserError("--traits: is for `assay kinds mixer`; leave it out")
    found, shipped = catalogue(), recipes()
    families = {name: list(members) for name, members in found.families.items()}
    known = {**families, "preset": list(found.presets), "recipe": list(shipped)}
    if family is not None and family not in known:
        raise UserError(f"no family '{family}'; {nearest(family, known)}")
    told = {}
    if traits:
        from assay.tools.mixer_traits import mixer_traits

        told = mixer_traits()
    if as_json:
        shown = families if family is None else {family: known[family]}
        print_json({**shown, "traits": {name: each.tree() for name, each in told.items()}} if traits else shown)
    elif family is None:
        print_families(console(), known)
    elif family in ("preset", "recipe"):
        print_pairs(console(), found.presets if family == "preset" else shipped)
    else:
        print_kinds(console(), found.families[family], {name: each.sentence() for name, each in told.items()})
