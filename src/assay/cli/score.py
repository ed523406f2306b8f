"""`assay score RUN`: bits per byte over every byte of a split."""

from dataclasses import replace
from typing import Annotated

import typer

from assay.cli.options import AsJson, DataDir, RunName, RunsDir, console, pairs, print_json
from assay.cli.report import YARDSTICKS, beside, measured
from assay.core.devices import resolve
from assay.data.plan import Policy
from assay.errors import UserError, nearest
from assay.evaluate.protocol import Protocol
from assay.evaluate.score import Score
from assay.experiment import build_model, load_data, make_scorer, read_config, refuse_growing_state
from assay.runs.store import find, runs_folder
from assay.text.tokenizer import load_tokenizer
from assay.train import checkpoint as checkpoints


def score(
    run: RunName,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "validation",
    checkpoint: Annotated[str, typer.Option(help="best, last, average, or a step.")] = "best",
    batch_size: Annotated[int, typer.Option(min=1, help="Windows at a time; the number does not depend on it.")] = 32,
    policy: Annotated[
        Policy | None, typer.Option(help="disjoint, strided, carried or documents (absent: as the text was read in training).")
    ] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="New targets a window; alone it means --policy strided.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (absent: as trained).")] = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Score every byte of a split once, and keep the figures with their protocol in the run."""
    directory = find(run, runs_folder(runs_dir))
    config = read_config(directory)
    prepared = load_data(config, data_dir)
    if split not in prepared.parts:
        raise UserError(f"--split: no part '{split}'; {nearest(split, prepared.parts)}")
    if prepared.parts[split].target_count == 0:
        raise UserError(f"--split: the part '{split}' of this run is empty; score another one")
    trained_on = directory.provenance().get("data", {}).get("parts", {}).get(split, {}).get("sha256")
    if trained_on not in (None, prepared.parts[split].sha256):
        raise UserError(f"{directory.name}: the {split} text is not the one that the run knows; the corpus has changed since, restore it")
    if load_tokenizer(directory.path / "tokenizer.json").digest != prepared.tokenizer.digest:
        raise UserError(f"{directory.name}: the text gives another tokenizer than the run's; the corpus has changed since it was trained")
    model = build_model(config, prepared.tokenizer.size)
    path = checkpoints.open_weights(directory.checkpoints, checkpoint, model)
    step = int(path.name.removeprefix("step-"))
    if policy == "carried":
        refuse_growing_state(model, "--policy")
    target = resolve(device or config.train.device)
    label = f"{checkpoint}, step {step}"
    scorer = make_scorer(config, prepared, prepared.parts[split], (split, label), target, policy, stride)
    result = replace(scorer, batch_size=batch_size).score(model.to(target))
    stored = directory.write_json(f"scores/{split}-{checkpoint}-step{step}-{protocol_name(scorer.protocol)}.json", result.tree())
    out = console(as_json=as_json)
    if not as_json:
        out.print(pairs(_facts(result)))
    found = measured(out, prepared, split)
    if found is not None and split == "validation":
        directory.write_json(YARDSTICKS, found)
    if as_json:
        print_json({**result.tree(), "stored": str(stored), "yardsticks": found})
    elif found is not None:
        beside(out, result.bits_per_byte, found, prepared.parts["train"].bytes)
        if split == "train":
            out.print("xz and the n-gram are left out: they would have read this very text", soft_wrap=True)


def protocol_name(protocol: Protocol) -> str:
    """How the text was read, in a file's name."""
    return f"stride{protocol.stride}" if protocol.policy == "strided" else protocol.policy


def _facts(result: Score) -> dict[str, str]:
    tree = result.tree()
    return {
        "bits per byte": f"{tree['bits_per_byte']:.5f} +- {tree['standard_error']:.5f}",
        "bits per character": f"{tree['bits_per_character']:.5f} ({tree['nats_per_character']:.5f} nats)",
        "nats per token": f"{tree['nats_per_token']:.5f} (perplexity {tree['perplexity']:,.3f})",
        "scored": f"{tree['bytes_scored']:,} of {tree['bytes_in_split']:,} bytes, {tree['tokens_scored']:,} tokens",
        "standard error": f"over {tree['units']:,} {result.unit}; of the choice of text, not of the seed",
        "protocol": result.protocol.describe(),
    }
