"""What `assay kinds` shows."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from assay.core.catalogue import Kind, Setting
from assay.terminal.tables import pairs

NARROWEST = 24  # columns that a description keeps beside its setting, else it goes below it


def print_families(out: Console, known: Mapping[str, Sequence[str]]) -> None:
    """Every family with the names of its kinds."""
    out.print(pairs({name: ", ".join(members) for name, members in known.items()}))
    out.print("\n`assay kinds FAMILY` shows the settings of a family's kinds.")


def print_pairs(out: Console, found: Mapping[str, str]) -> None:
    """Names, and what each says of itself."""
    out.print(pairs(found))


def print_kinds(out: Console, kinds: Mapping[str, Kind], traits: Mapping[str, str]) -> None:
    """The kinds of a family with their settings, and in a last line the traits of those that have any."""
    whole = Text()
    for name, kind in kinds.items():
        head, *more = textwrap.wrap(f"{name}  {kind.summary}", out.width)
        whole.append(name, "bold").append("\n".join([head[len(name) :], *more, *_lines(kind.settings(), out.width), ""]))
        if name in traits:
            whole.append("\n".join([*textwrap.wrap(f"  {traits[name]}", out.width, subsequent_indent="  "), ""]), "dim")
    out.print(whole, end="", soft_wrap=True)


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
