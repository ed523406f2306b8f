"""The arguments that commands share, and how they print."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

RunsDir = Annotated[Path | None, typer.Option("--runs-dir", help="Where runs are kept (default: ASSAY_RUNS, else ./runs).")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", envvar="ASSAY_DATA", help="Where raw text files are looked for, sub-folders included.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Changes of the config: model.width=128 plan.batch=8", metavar="[KEY=VALUE]...")
]
RunName = Annotated[str, typer.Argument(help="A run's directory, its name, or 'last'.", metavar="RUN")]


def console(*, as_json: bool = False) -> Console:
    """Where people read: standard output, or standard error when that is for JSON alone."""
    return Console(stderr=as_json)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=1, default=str))
