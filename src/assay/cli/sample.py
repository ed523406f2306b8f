"""`assay sample RUN`: what the model writes."""

from itertools import chain
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
    from assay.experiment.load import load_model
    from assay.generation.decode import pieces, stream, texts
    from assay.generation.sampling import Sampling

    model, tokenizer = load_model(run, checkpoint=checkpoint, runs_dir=runs_dir, device=device)
    start = tokenizer.encode([prompt.encode("utf-8", errors="surrogateescape")])[0].tolist()
    sampling = Sampling(temperature, top_k, top_p, min_p)
    steps = stream(model, start, count, tokens, sampling, seed, end=tokenizer.end)
    shown = tokenizer.decode(start).decode("utf-8", errors="replace")
    if as_json:
        written = [text for text, _ in texts(steps, tokenizer.decode, tokenizer.end)]
        print_json({"run": run, "prompt": shown, "samples": [shown + text for text in written]})
    elif count == 1:
        for piece in chain([shown], pieces(steps, tokenizer.decode, tokenizer.end)):
            print(visible(piece), end="", flush=True)
        print()
    else:
        for text, _ in texts(steps, tokenizer.decode, tokenizer.end):
            print(visible(shown + text))
