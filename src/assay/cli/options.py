"""The arguments that commands share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

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
Policy = Literal["disjoint", "strided", "carried", "documents"]  # that of `data.plan`, without what it imports
RunName = Annotated[str, typer.Argument(help="A run's directory, its name, or 'last'.", metavar="RUN")]


def on_slurm(launcher: str, launch: Sequence[str] | None) -> bool:
    """Whether `--launcher` means a cluster. Raises UserError where `--launch` has no cluster to tell."""
    if launch and launcher != "slurm":
        raise UserError(f"--launch {launch[0]}: says what a job asks of a cluster; add --launcher slurm, or leave it out")
    return launcher == "slurm"
