"""What the terminal and a page show of `assay bench mixers`."""

import re
from pathlib import Path

from rich.console import Console

from assay.core.words import plural
from assay.errors import UserError
from assay.terminal.tables import print_table
from assay.tools.bench_mixers import DEPTH, TOKENS, WIDTH, MixerReport, Row

HEAD = ("mixer", "context", "parameters", "MFLOP/token", "tokens/s", "of full", "memory", "of full", "state", "")
MARKS = ("<!-- mixers -->", "<!-- end of mixers -->")


def print_mixers(out: Console, report: MixerReport) -> None:
    """A table, and what its figures are."""
    print_table(out, HEAD, [_cells(row) for row in report.rows], spare=HEAD.index("parameters"))
    out.print()
    out.print(_legend(report), markup=False)


def read_page(path: Path) -> str:
    """The page whose table is to be written anew. Raises UserError where there is no place for a table in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--write: {path} cannot be read ({error}); name a Markdown page") from None
    if not re.search(f"(?s){MARKS[0]}.*{MARKS[1]}", text):
        raise UserError(f"--write: {path} has no place for the table; add the lines {MARKS[0]} and {MARKS[1]}")
    return text


def fill_page(text: str, report: MixerReport) -> str:
    """The page with the tables between its marks."""
    return re.sub(f"(?s){MARKS[0]}.*{MARKS[1]}", lambda _: _markdown(report), text)


def _cells(row: Row) -> tuple[str, ...]:
    measured, memory = row.measured, row.measured.peak_memory
    return (
        measured.configuration.mixer,
        f"{measured.configuration.window:,}",
        f"{measured.parameters:,}",
        f"{row.flops / 1e6:.1f}",
        f"{measured.rates[1]:,.0f}",
        f"{row.speed:.2f}x",
        "-" if memory is None else f"{memory / 2**20:,.0f} MiB",
        "-" if row.memory is None else f"{row.memory:.2f}x",
        f"{row.state / 1024:,.0f} KiB",
        "disturbed" if measured.disturbed else "",
    )


def _legend(report: MixerReport) -> str:
    threads = plural(report.machine["threads"], "thread")
    return (
        f"Medians over {report.steps} steps of {TOKENS:,} tokens, {report.precision}, {threads}: {DEPTH} layers, width {WIDTH}, learned "
        "positions, no dropout, each kind with its settings as they are by default. FLOPs of forward and backward, traced. Memory: the "
        "peak of training, in a process of its own. State: what generation keeps of a text of that length, in float32."
    )


def _markdown(report: MixerReport) -> str:
    """The tables between their marks, one for each length of context."""
    lines = [MARKS[0], ""]
    for context in dict.fromkeys(row.measured.configuration.window for row in report.rows):
        lines += [f"Context {context:,}:", "", "| " + " | ".join((HEAD[0], *HEAD[2:-1])) + " |", "|---|" + "---:|" * (len(HEAD) - 3)]
        chosen = [_cells(row) for row in report.rows if row.measured.configuration.window == context]
        lines += ["| " + " | ".join((f"`{cells[0]}`", *cells[2:-1])) + (" (disturbed)" if cells[-1] else "") + " |" for cells in chosen]
        lines.append("")
    lines += [f"{report.machine['cpu']}, torch {report.machine['torch']}. {_legend(report)}", "", MARKS[1]]
    return "\n".join(lines)
