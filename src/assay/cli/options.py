"""The options that several commands share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from assay.core.renames import SINCE, new_name
from assay.errors import UserError, suggest

RunsDir = Annotated[Path | None, typer.Option("--runs-dir", help="Where runs are kept (default: ASSAY_RUNS, else ./runs).")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", envvar="ASSAY_DATA", help="Where raw text files are looked for, sub-folders included.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Recipe = Annotated[str, typer.Argument(help="A recipe's name (see `assay kinds recipe`), a TOML file, or a text: mine.txt.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Changes of the config: model.width=128 batches.size=8", metavar="[KEY=VALUE]...")
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
RunName = Annotated[str, typer.Argument(help="A run's directory, its name or the beginning of it, or 'last'.", metavar="RUN")]
Checkpoint = Annotated[str, typer.Option(help="best, last, or a step.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N, mps or auto (absent: as trained).")]
Policy = Literal["disjoint", "strided", "streams", "documents"]  # that of `data.batches`, without what it imports
CompressionPolicy = Literal["disjoint", "strided", "streams"]
Stride = Annotated[int | None, typer.Option(min=1, help="New targets a window; alone it means --policy strided.")]
Picture = Annotated[Path | None, typer.Option("-o", "--output", help="Also draw it into this .svg or .png.")]


def make_policy_option(policies: Sequence[str], explanation: str) -> Any:
    """Make the option --policy, which names the present word for an earlier one. Raises UserError for an unknown one."""

    def parse(typed: str) -> str:
        if typed in policies:
            return typed
        today = new_name(typed)
        hint = f"is called '{today}' since {SINCE}; write that" if today in policies else f"is no policy; {suggest(typed, policies)}"
        raise UserError(f"--policy: '{typed}' {hint}")

    return typer.Option("--policy", parser=parse, metavar=f"[{'|'.join(policies)}]", help=explanation)


def uses_slurm(launcher: str, launch: Sequence[str] | None) -> bool:
    """Whether `--launcher` means a cluster. Raises UserError for a `--launch` that would do nothing."""
    if launch and launcher != "slurm":
        raise UserError(f"--launch {launch[0]}: says what a job asks of a cluster; add --launcher slurm, or leave it out")
    return launcher == "slurm"
