"""Show in the terminal what can stand in a config: `assay kinds`."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from rich.console import Console
from rich.text import Text

from assay.core.allowed_values import format_allowed_values
from assay.core.catalogue import KindInfo, SettingInfo
from assay.terminal.tables import make_pair_table
from assay.tools.configs import ALL, KindList

HEAD = ("setting", "default", "values", "what it is")
MOST = ((200, 22, 24), (200, 14, 18))  # columns of name, default and values, in a wide and a narrow window; what is longer is wrapped
GAP = 2  # columns between two
MIN_DESCRIPTION = 20  # columns that a description keeps beside its setting, else it goes below it
NEXT = "`assay kinds FAMILY` shows the settings of its kinds and the values they take, `assay kinds all` those of all."


def print_kinds(out: Console, kinds: KindList) -> None:
    """Print every family with the names of its kinds; of one family, or of all, what each says of itself and takes."""
    if kinds.family is None:
        out.print(make_pair_table({"family": "kinds", **{name: ", ".join(members) for name, members in kinds.names.items()}}))
        out.print(Text(f"\n{NEXT}"))
    elif kinds.family in ("preset", "recipe"):
        out.print(make_pair_table(kinds.catalogue.presets if kinds.family == "preset" else kinds.recipes))
    else:
        traits = {name: each.describe() for name, each in kinds.traits.items()}
        for family, members in kinds.chosen.items():
            if kinds.family == ALL:
                out.print(Text(f"{family.upper()}\n", style="bold"), end="")
            out.print(_format_kinds(members, traits, out.width), end="", soft_wrap=True)


def _format_kinds(kinds: Mapping[str, KindInfo], traits: Mapping[str, str], width: int) -> Text:
    """Format the kinds of a family with their settings, and in a last line the traits of those that have any."""
    whole = Text()
    for name, kind in kinds.items():
        head, *more = textwrap.wrap(f"{name}  {kind.summary}", width)
        whole.append(name, "bold").append("\n".join([head[len(name) :], *more, ""]))
        if kind.settings:
            titles, *lines = _format_settings(kind.settings, width)
            whole.append(titles + "\n", "dim").append("\n".join([*lines, ""]))
        if name in traits:
            whole.append("\n".join([*textwrap.wrap(f"  {traits[name]}", width, subsequent_indent="  "), ""]), "dim")
        whole.append("\n")
    return whole


def _format_settings(settings: Sequence[SettingInfo], width: int) -> Iterator[str]:
    """Set name, default, values and description in columns below their titles, or the last ones below where they have no room."""
    rows = [HEAD, *((one.name, one.default, format_allowed_values(one.allowed), one.description) for one in settings)]
    for limits in MOST:
        widths = [min(most, max(len(row[column]) for row in rows)) for column, most in enumerate(limits)]
        room = width - 2 - sum(widths) - GAP * len(widths)
        if room >= MIN_DESCRIPTION:
            yield from (line for row in rows for line in _align_row(row, [*widths, room]))
            return
    yield "  " + ", ".join(HEAD)
    for name, default, values, description in rows[1:]:
        yield from textwrap.wrap(f"{name}  {default}  {values}", width, initial_indent="  ", subsequent_indent="      ")
        yield from textwrap.wrap(description, width, initial_indent="    ", subsequent_indent="    ")


def _align_row(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Align the cells of a row in columns, each wrapped in its own."""
    cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
    for parts in zip_longest(*cells, fillvalue=""):
        aligned = (f"{part:<{width}}" for part, width in zip(parts, widths, strict=True))
        yield ("  " + (" " * GAP).join(aligned)).rstrip()
