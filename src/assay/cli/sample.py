"""`assay sample RUN`: what the model writes."""

from typing import Annotated

import typer

from assay.cli.options import AsJson, RunName, RunsDir
from assay.terminal.console import print_json, visible


def sample(
    run: RunName,
    prompt: Annotated[str, typer.Option(help="How each text begins.")] = "",
    count: Annotated[int, typer.Option(min=1, help="How many texts.")] = 5,
    tokens: Annotated[int, typer.Option(min=1, help="The most new tokens in a text.")] = 200,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw from the k likeliest.")] = None,
    top_p: Annotated[float | None, typer.Option(min=1e-9, max=1.0, help="Draw from the smallest set with this mass.")] = None,
    min_p: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Drop what is less likely than this share of the likeliest.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides all draws.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="best, last, average, or a step.")] = "best",
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (absent: as trained).")] = None,
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a trained model write; each text ends where the model ends it."""
    from assay import api

    found = api.load(run, runs_dir)
    if count == 1 and not as_json:  # shown while it is written
        for piece in found.stream(
            prompt,
            seed,
            tokens=tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            checkpoint=checkpoint,
            device=device,
        ):
            print(visible(piece), end="", flush=True)
        print()
        return
    samples = found.sample(
        prompt, count, seed, tokens=tokens, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, checkpoint=checkpoint,
        device=device,
    )  # fmt: skip
    if as_json:
        print_json({"run": run, "prompt": prompt, "samples": samples})
        return
    for text in samples:
        print(visible(text))
