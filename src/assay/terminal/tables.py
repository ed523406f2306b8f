"""Make tables in plain characters, of which no figure is ever cut."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from assay.terminal.console import UNLIMITED_WIDTH

INDENT = "  "  # of a row whose name stands above it


def make_pair_table(facts: Mapping[str, str]) -> Table:
    """Make a table of names and values; only the values are wrapped."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, fact in facts.items():
        grid.add_row(Text(name), Text(fact))
    return grid


def print_table(
    out: Console, head: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1, optional_column: int | None = None,
    nothing: str = "there is nothing to show", names_above: bool = False,
) -> None:  # fmt: skip
    """Print a table, or the sentence `nothing` where it has no rows.

    Its first `text_columns` columns are words and the others figures, none of them ever cut. Where it is too wide, the column
    `optional_column` is left out, or the first cell of each row stands above the others (`names_above`); where that does not help, each row
    becomes a paragraph.
    """
    if not rows:
        out.print(Text(nothing), soft_wrap=True)
        return
    columns = [index for index in range(len(head)) if index != optional_column]
    for chosen in (range(len(head)), columns):
        table = _make_table(head, rows, chosen, text_columns)
        if _measure_width(out, table) <= out.width:
            out.print(table)
            return
    if names_above:
        table = _make_table(head, rows, range(1, len(head)), text_columns)
        if _measure_width(out, table) + len(INDENT) <= out.width:
            _print_names_above(out, table, [row[0] for row in rows])
            return
    for first, *rest in rows:
        out.print(Text(first, style="bold"), soft_wrap=True)
        facts = [f"{name} {cell}" for name, cell in zip(head[1:], rest, strict=True)]
        for line in _fill_lines(facts, out.width):
            out.print(Text(line), soft_wrap=True)


def _make_table(head: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[int], text_columns: int) -> Table:
    table = Table(box=None, pad_edge=False)
    for index in columns:
        table.add_column(Text(head[index]), justify="left" if index < text_columns else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[index]) for index in columns))
    return table


def _measure_width(out: Console, table: Table) -> int:
    """Measure how wide a table is where no window limits it."""
    return out.measure(table, options=out.options.update(width=UNLIMITED_WIDTH * 10)).maximum


def _print_names_above(out: Console, table: Table, names: Sequence[str]) -> None:
    """Print a table whose rows have their names on a line of their own."""
    head, *lines = out.render_lines(table, out.options.update(width=out.width - len(INDENT)), pad=False)
    for name, line in zip(("", *names), (head, *lines), strict=True):
        if name:
            out.print(Text(name), soft_wrap=True)
        out.print(Segments([Segment(INDENT), *line, Segment.line()]), end="")


def _fill_lines(facts: Sequence[str], width: int) -> list[str]:
    """Put facts beside each other in as few lines as they need."""
    lines: list[str] = []
    for fact in facts:
        if lines and len(lines[-1]) + 3 + len(fact) <= width:
            lines[-1] += f"   {fact}"
        else:
            lines.append(f"  {fact}")
    return lines
