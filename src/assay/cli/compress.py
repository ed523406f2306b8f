"""`assay compress FILE --model RUN -o OUT` and `assay decompress`: a file through a trained model, and back to the last bit."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from assay.cli.options import AsJson, RunsDir
from assay.terminal.console import console, print_json
from assay.terminal.progress import progress_bar

Source = Annotated[Path, typer.Argument(help="What to read.", metavar="FILE")]
Target = Annotated[Path, typer.Option("--output", "-o", help="Where to write.", metavar="OUT")]
ModelRun = Annotated[str, typer.Option("--model", help="The run that codes: its directory, its name, or 'last'.", metavar="RUN")]
Checkpoint = Annotated[str, typer.Option(help="best, last, or a step.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite OUT if it exists.")]
Way = Literal["disjoint", "strided", "carried"]


def compress(
    file: Source,
    model: ModelRun,
    output: Target,
    checkpoint: Checkpoint = "best",
    policy: Annotated[Way | None, typer.Option(help="disjoint, strided or carried (absent: as the model is scored).")] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="New tokens a window: smaller files, more time.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Decompress and compare before writing.")] = False,
    force: Force = False,
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Compress any file with a trained model; its size is the model's score in bytes."""
    from assay.tools.compress import Coder, compress_file
    from assay.views.compress import print_compression

    coder = Coder(model, checkpoint, runs_dir, policy, stride)
    found = compress_file(file, output, coder, verify=verify, force=force, progress=progress_bar)
    if as_json:
        print_json(found.tree())
    else:
        print_compression(console(), found)


def decompress(
    file: Source,
    model: ModelRun,
    output: Target,
    checkpoint: Checkpoint = "best",
    force: Force = False,
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring back what `assay compress` compressed, with the same model; nothing is written unless it is exact."""
    from assay.tools.compress import Coder, decompress_file
    from assay.views.compress import print_decompression

    found = decompress_file(file, output, Coder(model, checkpoint, runs_dir), force=force, progress=progress_bar)
    if as_json:
        print_json(found.tree())
    else:
        print_decompression(console(), found)
