"""`assay demo lies`: six ways in which numbers of small models lie, each done wrong and right on real text."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from assay.cli.options import AsJson, DataDir
from assay.errors import DataError, UserError, nearest
from assay.terminal.console import console, print_json
from assay.terminal.tables import print_table

if TYPE_CHECKING:
    from assay.demo.lie import Lie, Told
    from assay.demo.stage import Stage

SHARES = {"full": 1.0, "tiny": 0.1}  # of the steps


def demo(
    demonstration: Annotated[str, typer.Argument(help="lies: the only one that there is.", metavar="lies")],
    only: Annotated[list[int] | None, typer.Option("--only", min=1, max=6, help="A lie by its number; again for more.")] = None,
    size: Annotated[str, typer.Option("--scale", help="full, or tiny: a tenth of the steps, to see that it works.")] = "full",
    seed: Annotated[int, typer.Option(min=0, help="Decides all but the times.")] = 0,
    page: Annotated[Path | None, typer.Option("--output", "-o", help="A Markdown page whose figures are written anew.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show six ways in which numbers of small models lie: done wrong, done right, on real text."""
    from assay.demo.page import read_page, written
    from assay.demo.six import LIES
    from assay.demo.stage import Stage

    if demonstration != "lies":
        raise UserError(f"no demonstration '{demonstration}'; {nearest(demonstration, ['lies'])}")
    if size not in SHARES:
        raise UserError(f"--scale: no '{size}'; {nearest(size, SHARES)}")
    lies = [lie for lie in LIES if not only or lie.number in only]
    text = None if page is None else read_page(page, lies)
    out = console(as_json=as_json)
    stage = Stage(data_dir, seed, SHARES[size])
    _announce(out, lies, stage.share)
    done: list[dict[str, Any]] = []
    try:
        for lie in lies:
            found = _demonstrate(out, lie, stage)
            if found is None:
                continue
            told, seconds = found
            done.append({"number": lie.number, "name": lie.name, "claim": told.claim, "notes": told.notes, **seconds, **told.figures})
            if page is not None and text is not None:  # at once: Ctrl-C keeps what is done
                text = written(text, lie, told)
                page.write_text(text, encoding="utf-8")
    finally:
        if as_json:
            print_json({"seed": seed, "scale": size, "lies": done})


def _announce(out: Console, lies: "Sequence[Lie]", share: float) -> None:
    minutes = sum(lie.minutes for lie in lies) * share
    count, time_needed = f"{len(lies)} demonstration{'s' * (len(lies) != 1)}", max(1, round(minutes))
    out.print(f"{count}, about {time_needed} minute{'s' * (time_needed != 1)} on two cores; Ctrl-C keeps what is done", markup=False)


def _demonstrate(out: Console, lie: "Lie", stage: "Stage") -> "tuple[Told, dict[str, float]] | None":
    """Show one lie and tell of it; None where its text could not be had, which is said. The figures are its times."""
    out.print()
    out.print(Text(f"{lie.number}  {lie.name}", style="bold"))
    began = time.perf_counter(), time.process_time()
    try:
        told = lie.show(stage)
    except DataError as missing:
        out.print(f"skipped: {missing}", markup=False)
        return None
    seconds = {"seconds": time.perf_counter() - began[0], "processor_seconds": time.process_time() - began[1]}
    _tell(out, told)
    out.print(f"took {seconds['seconds']:,.0f} s, {seconds['processor_seconds']:,.0f} s of processor time", style="dim", markup=False)
    return told, seconds


def _tell(out: Console, told: "Told") -> None:
    """The claim, the figures, what is wrong, what Assay does."""
    out.print(f'"{told.claim}"', markup=False)
    for table in told.tables:
        out.print()
        print_table(out, table.head, table.rows)
    out.print()
    for note in told.notes:
        out.print(f"note: {note}", markup=False)
    out.print(f"what is wrong: {told.wrong}", markup=False)
    out.print(f"what Assay does: {told.remedy}", markup=False)
