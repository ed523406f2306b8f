"""`assay kinds [FAMILY]`: what can stand where in a config."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from assay.cli.options import AsJson
from assay.core import recipe
from assay.core.config import FAMILIES, Config
from assay.errors import UserError, nearest
from assay.nn.mixer.base import MixerConfig
from assay.nn.position.base import Sizes
from assay.terminal.console import console, print_json
from assay.terminal.tables import pairs

WIDTH, DEPTH = 256, 2  # of the model that a mixer's traits are told of


def kinds(
    family: Annotated[str | None, typer.Argument(help="mixer, feed, position, ...; also recipe and preset.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the kinds of every family, or those of one with their settings."""
    families = {name: list(members.kinds) for name, members in sorted(FAMILIES.items())}
    presets = {name: _first_line(make.__doc__) for members in FAMILIES.values() for name, make in members.presets.items()}
    recipes = {name: _comment(name) for name in recipe.names()}
    known = {**families, "preset": list(presets), "recipe": list(recipes)}
    if family is not None and family not in known:
        raise UserError(f"no family '{family}'; {nearest(family, known)}")
    out = console()
    if as_json:
        print_json(families if family is None else {family: known[family]})
    elif family is None:
        out.print(pairs({name: ", ".join(members) for name, members in known.items()}))
        out.print("\n`assay kinds FAMILY` shows the settings of a family's kinds.")
    elif family in ("preset", "recipe"):
        out.print(pairs(presets if family == "preset" else recipes))
    else:
        for name, leaf in FAMILIES[family].kinds.items():
            out.print(Text.assemble((name, "bold"), "  ", _first_line(leaf.__doc__)))
            out.print(_settings(leaf))
            if issubclass(leaf, MixerConfig) and not any(field.is_required() for field in leaf.model_fields.values()):
                out.print(Text(f"  {_traits(leaf)}", style="dim"))


def _traits(leaf: type[MixerConfig]) -> str:
    """What a mixer goes with, and what it keeps of its past, in words."""
    config = leaf()
    mixer = config.build(WIDTH)
    sizes = Sizes(WIDTH, DEPTH, (config.size_of_head(WIDTH) or WIDTH,), (config.number_of_heads() or 1,))
    positions = [name for name, kind in FAMILIES["position"].kinds.items() if kind().build(sizes).enters <= mixer.accepts]  # type: ignore[attr-defined]
    sight = "all of the past" if mixer.reach is None else f"{mixer.reach:,} positions back"
    state = "does not grow with the text" if mixer.bounded else "grows with the text"
    documents = "can be isolated inside a row" if mixer.documents == "masked" else "cannot be isolated inside a row"
    return f"positions: {', '.join(positions)}; sees {sight}; its state {state}; documents {documents}"


def _settings(leaf: type[Config]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column()
    for key, field in leaf.model_fields.items():
        if key != "kind":
            default = field.get_default(call_default_factory=True, validated_data={})
            table.add_row(Text(f"  {key}"), Text(_shown(default, required=field.is_required())), Text(field.description or ""))
    return table


def _shown(value: Any, *, required: bool) -> str:
    if required:
        return "(required)"
    if isinstance(value, Config):
        return str(value.tree().get("kind", "{...}"))
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None else str(value)


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""


def _comment(name: str) -> str:
    """What the comment that a recipe begins with says first."""
    first = recipe.find(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
