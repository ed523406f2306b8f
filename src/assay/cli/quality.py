"""`assay quality RUN`: what a model writes, beside what people wrote."""

from typing import Annotated

import typer

from assay.cli.options import AsJson, DataDir, RunName, RunsDir
from assay.terminal.console import console, print_json


def quality(
    run: RunName,
    samples: Annotated[int, typer.Option(min=2, help="How many texts the model writes.")] = 200,
    tokens: Annotated[int | None, typer.Option(min=1, help="The most tokens in a text (absent: those of the longest document).")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Decides all draws.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="best, last, or a step.")] = "best",
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (absent: as trained).")] = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Measure whether a model writes or recites, beside held-out documents."""
    from assay.tools.quality import SampleOptions, measure_quality
    from assay.views.quality import print_quality

    found = measure_quality(run, SampleOptions(samples, tokens, temperature, seed), checkpoint, device, runs_dir, data_dir)
    if as_json:
        print_json(found.tree())
    else:
        print_quality(console(), found.quality)
