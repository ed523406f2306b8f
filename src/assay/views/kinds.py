"""What `assay kinds` shows."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from assay.core.catalogue import Kind, Setting
from assay.terminal.tables import pairs
from assay.tools.kinds import KindList

NARROWEST = 24  # columns that a description keeps beside its setting, else it goes below it


def print_kinds(out: Console, found: KindList) -> None:
    """Print every family with the names of its kinds; of one family, what each says of itself."""
    if found.family is None:
        out.print(pairs({name: ", ".join(members) for name, members in found.names.items()}))
        out.print("\n`assay kinds FAMILY` shows the settings of a family's kinds.")
    elif found.family in ("preset", "recipe"):
        out.print(pairs(found.catalogue.presets if found.family == "preset" else found.recipes))
    else:
        traits = {name: each.sentence() for name, each in found.traits.items()}
        out.print(_settings(found.catalogue.families[found.family], traits, out.width), end="", soft_wrap=True)


def _settings(kinds: Mapping[str, Kind], traits: Mapping[str, str], width: int) -> Text:
    """The kinds of a family with their settings, and in a last line the traits of those that have any."""
    whole = Text()
    for name, kind in kinds.items():
        head, *more = textwrap.wrap(f"{name}  {kind.summary}", width)
        whole.append(name, "bold").append("\n".join([head[len(name) :], *more, *_lines(kind.settings(), width), ""]))
        if name in traits:
            whole.append("\n".join([*textwrap.wrap(f"  {traits[name]}", width, subsequent_indent="  "), ""]), "dim")
    return whole


def _lines(settings: Sequence[Setting], width: int) -> Iterator[str]:
    """Name, default and description in columns, or the last one below where it has no room."""
    names, defaults = (max((len(setting[column]) for setting in settings), default=0) for column in (0, 1))
    beside = 2 + names + 2 + defaults + 2
    indent = beside if width - beside >= NARROWEST else 4
    for name, default, description in settings:
        told = textwrap.wrap(description, max(NARROWEST, width - indent)) or [""]
        begin = f"  {name:<{names}}  {default:<{defaults}}  " if indent == beside else f"  {name}  {default}"
        below = told[1:] if indent == beside else told
        yield (begin + told[0] if indent == beside else begin).rstrip()
        yield from (" " * indent + line for line in below)
