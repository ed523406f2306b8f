"""The arguments that commands share, and how they print."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from assay.errors import UserError

RunsDir = Annotated[Path | None, typer.Option("--runs-dir", help="Where runs are kept (default: ASSAY_RUNS, else ./runs).")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", envvar="ASSAY_DATA", help="Where raw text files are looked for, sub-folders included.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Changes of the config: model.width=128 plan.batch=8", metavar="[KEY=VALUE]...")
]
Scale = Annotated[str | None, typer.Option("--scale", help="A smaller or larger form that the recipe has, such as tiny.")]
Track = Annotated[
    list[str] | None,
    typer.Option("--track", help="Mirror the run in tensorboard or wandb; may be repeated. ASSAY_TRACK names those you always want."),
]
Launcher = Annotated[
    Literal["local", "slurm"], typer.Option("--launcher", help="Where it runs: on this machine, or as a job of a cluster.")
]
Launch = Annotated[
    list[str] | None,
    typer.Option("--launch", help="Changes of the [launch] table: --launch partition=gpu --launch hours=4", metavar="KEY=VALUE"),
]
RunName = Annotated[str, typer.Argument(help="A run's directory, its name, or 'last'.", metavar="RUN")]

WIDE = 200  # columns where nobody's window limits them: in a file or a pipe


def console(*, as_json: bool = False) -> Console:
    """Where people read: standard output, or standard error when that is for JSON alone."""
    out = Console(stderr=as_json, highlight=False, emoji=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = WIDE
    return out


def on_slurm(launcher: str, launch: Sequence[str] | None) -> bool:
    """Whether `--launcher` means a cluster. Raises UserError where `--launch` has no cluster to tell."""
    if launch and launcher != "slurm":
        raise UserError(f"--launch {launch[0]}: says what a job asks of a cluster; add --launcher slurm, or leave it out")
    return launcher == "slurm"


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=1, default=str))


@contextmanager
def doing(out: Console, text: str) -> Iterator[None]:
    """Say what is measured, in a terminal. Nothing moves meanwhile, as that would take time from it."""
    if not out.is_terminal:
        yield
        return
    with Live(Text(f"measuring {text}", style="dim"), console=out, auto_refresh=False, transient=True) as live:
        live.refresh()
        yield


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
