"""`assay kinds [FAMILY]`: what can stand where in a config."""

from typing import Annotated, Any

import typer
from rich.table import Table

from assay.cli.options import AsJson, console, print_json
from assay.core import recipe
from assay.core.config import FAMILIES, Config, Family
from assay.errors import UserError, nearest


def kinds(
    family: Annotated[str | None, typer.Argument(help="mixer, feed, position, ... or recipe.")] = None, as_json: AsJson = False
) -> None:
    """List the kinds of every family, or those of one with their settings."""
    known = {**{name: [*part.kinds, *part.presets] for name, part in sorted(FAMILIES.items())}, "recipe": recipe.names()}
    if family is not None and family not in known:
        raise UserError(f"no family '{family}'; {nearest(family, known)}")
    if as_json:
        print_json(known if family is None else {family: known[family]})
        return
    out = console()
    if family is None or family == "recipe":
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, members in known.items():
            if family in (None, name):
                table.add_row(f"[bold]{name}[/bold]", ", ".join(members))
        out.print(table)
        return
    for name, leaf in FAMILIES[family].kinds.items():
        out.print(f"[bold]{name}[/bold]  {_first_line(leaf.__doc__)}", highlight=False)
        out.print(_settings(leaf))
    _presets(FAMILIES[family])


def _settings(leaf: type[Config]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 4))
    for key, field in leaf.model_fields.items():
        if key != "kind":
            table.add_row(
                key,
                _shown(field.get_default(call_default_factory=True, validated_data={}), required=field.is_required()),
                field.description or "",
            )
    return table


def _shown(value: Any, *, required: bool) -> str:
    if required:
        return "(required)"
    if isinstance(value, Config):
        return str(value.tree().get("kind", "{...}"))
    return "-" if value is None else str(value)


def _presets(family: Family) -> None:
    for name, make in family.presets.items():
        console().print(f"[bold]{name}[/bold]  (preset) {_first_line(make.__doc__)}", highlight=False)


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""
