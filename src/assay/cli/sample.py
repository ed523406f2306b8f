"""`assay sample RUN`: what the model writes."""

import codecs
from collections.abc import Iterator
from typing import Annotated

import typer
from torch import Tensor

from assay.cli.options import AsJson, RunName, RunsDir, console, print_json
from assay.core.devices import keep_freed_memory, resolve
from assay.experiment import build_model
from assay.fit import read_config
from assay.generate.decode import stream, texts
from assay.generate.sampling import Sampling
from assay.runs.store import find, runs_folder
from assay.text.tokenizer import Tokenizer, load_tokenizer
from assay.train import checkpoint as checkpoints


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
    checkpoint: Annotated[str, typer.Option(help="best, last, or a step.")] = "best",
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (absent: as trained).")] = None,
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a trained model write; each text ends where the model ends it."""
    keep_freed_memory()
    directory = find(run, runs_folder(runs_dir))
    config = read_config(directory)
    tokenizer = load_tokenizer(directory.path / "tokenizer.json")
    model = build_model(config, tokenizer.size)
    checkpoints.load_weights(checkpoints.locate(directory.checkpoints, checkpoint), model)
    model = model.to(resolve(device or config.train.device))
    start = tokenizer.encode([prompt.encode("utf-8", errors="surrogateescape")])[0].tolist()
    sampling = Sampling(temperature, top_k, top_p, min_p)
    steps = stream(model, start, count, tokens, sampling, seed, end=tokenizer.end)
    if count == 1 and not as_json:
        _print_while_writing(prompt, steps, tokenizer)
        return
    written = [prompt + text for text in texts(steps, tokenizer.decode, tokenizer.end)]
    if as_json:
        print_json({"run": directory.name, "prompt": prompt, "samples": written})
        return
    for text in written:
        console().print(text, markup=False, highlight=False, soft_wrap=True)


def _print_while_writing(prompt: str, steps: Iterator[Tensor], tokenizer: Tokenizer) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    out = console()
    out.print(prompt, end="", markup=False, highlight=False, soft_wrap=True)
    for step in steps:
        token = int(step[0])
        if token != tokenizer.end:
            out.print(decoder.decode(tokenizer.decode([token])), end="", markup=False, highlight=False, soft_wrap=True)
            out.file.flush()
    out.print(decoder.decode(b"", final=True), markup=False, highlight=False)
