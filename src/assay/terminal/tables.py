"""Tables in plain characters, of which no figure is ever cut."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.terminal.console import WIDE


def pairs(facts: Mapping[str, str]) -> Table:
    """Names and what they stand for; only the latter is wrapped."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, fact in facts.items():
        grid.add_row(Text(name), Text(fact))
    return grid


def print_table(out: Console, head: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1, spare: int | None = None) -> None:
    """A table whose first `words` columns are words and the others figures, none of them ever cut.

    Where it is too wide, the column `spare` is left out; where that does not help, each row becomes a paragraph.
    """
    columns = [index for index in range(len(head)) if index != spare]
    for chosen in (range(len(head)), columns):
        table = Table(box=None, pad_edge=False)
        for index in chosen:
            table.add_column(Text(head[index]), justify="left" if index < words else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(row[index]) for index in chosen))
        if out.measure(table, options=out.options.update(width=WIDE * 10)).maximum <= out.width:
            out.print(table)
            return
    for first, *rest in rows:
        out.print(Text(first, style="bold"), soft_wrap=True)
        out.print(Text("  " + "   ".join(f"{name} {cell}" for name, cell in zip(head[1:], rest, strict=True))), soft_wrap=True)
