"""Compress a file with a trained model, and decompress it exactly: `assay compress` and `assay decompress`."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.options import AsJson, Checkpoint, CompressionPolicy, RunsDir, make_policy_option
from assay.terminal.console import make_console, print_result, show_progress_bar

Source = Annotated[Path, typer.Argument(help="What to read.", metavar="FILE")]
Target = Annotated[Path, typer.Option("--output", "-o", help="Where to write.", metavar="OUT")]
ModelRun = Annotated[str, typer.Option("--model", help="The run that codes: its directory, its name, or 'last'.", metavar="RUN")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite OUT if it exists.")]
POLICIES = ("disjoint", "strided", "streams")


def compress(
    file: Source, model: ModelRun, output: Target, checkpoint: Checkpoint = "best",
    policy: Annotated[CompressionPolicy | None, make_policy_option(POLICIES, "How it reads (absent: as the model is scored).")] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="New tokens a window: smaller files, more time.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Decompress and compare before writing.")] = False,
    force: Force = False, runs_dir: RunsDir = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Compress any file with a trained model; its size is the model's score in bytes."""
    from assay.tools.compress import CodecOptions, compress_file
    from assay.views.compress import print_compression

    options = CodecOptions(model, checkpoint, runs_dir, policy, stride)
    result = compress_file(file, output, options, verify=verify, force=force, progress=show_progress_bar)
    print_result(make_console(), result, print_compression, as_json=as_json)


def decompress(
    file: Source, model: ModelRun, output: Target, checkpoint: Checkpoint = "best", force: Force = False, runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Bring back what `assay compress` compressed, with the same model; nothing is written unless it is exact."""
    from assay.tools.compress import CodecOptions, decompress_file
    from assay.views.compress import print_decompression

    result = decompress_file(file, output, CodecOptions(model, checkpoint, runs_dir), force=force, progress=show_progress_bar)
    print_result(make_console(), result, print_decompression, as_json=as_json)
