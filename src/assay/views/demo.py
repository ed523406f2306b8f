"""The six lies in the terminal: what is coming, the heading of each, and what was found."""

from rich.console import Console
from rich.text import Text

from assay.core.words import plural
from assay.demo.demonstrate import Program, Shown, Skipped
from assay.demo.lie import Lie
from assay.terminal.tables import print_table


def print_program(out: Console, program: Program) -> None:
    """Print how many demonstrations there are, and how long they take."""
    count, minutes = plural(len(program.lies), "demonstration"), plural(max(1, round(program.minutes)), "minute")
    out.print(f"{count}, about {minutes} on two cores; Ctrl-C keeps what is done", markup=False)


def print_heading(out: Console, lie: Lie) -> None:
    """Print the name of the lie that is shown now."""
    out.print()
    out.print(Text(f"{lie.number}  {lie.name}", style="bold"))


def print_result(out: Console, result: Shown | Skipped) -> None:
    """Print the claim, the figures, what is wrong and what Assay does; or why it was skipped."""
    if isinstance(result, Skipped):
        out.print(f"skipped: {result.reason}", markup=False)
        return
    told = result.told
    out.print(f'"{told.claim}"', markup=False)
    for table in told.tables:
        out.print()
        print_table(out, table.head, table.rows)
    out.print()
    for note in told.notes:
        out.print(f"note: {note}", markup=False)
    out.print(f"what is wrong: {told.wrong}", markup=False)
    out.print(f"what Assay does: {told.remedy}", markup=False)
    out.print(f"took {result.seconds:,.0f} s, {result.processor_seconds:,.0f} s of processor time", style="dim", markup=False)
