"""Make tables in plain characters, of which no figure is ever cut."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.terminal.console import UNLIMITED_WIDTH


def make_pair_table(facts: Mapping[str, str]) -> Table:
    """Make a table of names and values; only the values are wrapped."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, fact in facts.items():
        grid.add_row(Text(name), Text(fact))
    return grid


def print_table(
    out: Console, head: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1, optional_columns: Sequence[int] = (),
    nothing: str = "there is nothing to show",
) -> None:  # fmt: skip
    """Print a table, or the sentence `nothing` where it has no rows.

    Its first `text_columns` columns are words and the others figures, none of them ever cut. Where it is too wide, the columns
    `optional_columns` are left out, one after the other; where that does not help, each row becomes a paragraph.
    """
    if not rows:
        out.print(Text(nothing), soft_wrap=True)
        return
    for left_out in range(len(optional_columns) + 1):
        chosen = [index for index in range(len(head)) if index not in optional_columns[:left_out]]
        table = Table(box=None, pad_edge=False)
        for index in chosen:
            table.add_column(Text(head[index]), justify="left" if index < text_columns else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(row[index]) for index in chosen))
        if out.measure(table, options=out.options.update(width=UNLIMITED_WIDTH * 10)).maximum <= out.width:
            out.print(table)
            return
    for first, *rest in rows:
        out.print(Text(first, style="bold"), soft_wrap=True)
        facts = [f"{name} {cell}" for name, cell in zip(head[1:], rest, strict=True)]
        for line in _fill_lines(facts, out.width):
            out.print(Text(line), soft_wrap=True)


def _fill_lines(facts: Sequence[str], width: int) -> list[str]:
    """Put facts beside each other in as few lines as they need."""
    lines: list[str] = []
    for fact in facts:
        if lines and len(lines[-1]) + 3 + len(fact) <= width:
            lines[-1] += f"   {fact}"
        else:
            lines.append(f"  {fact}")
    return lines
