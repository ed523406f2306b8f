"""Lie 2: the last partial batch is dropped, and the loss is divided by the length of the whole text all the same.

`careless_loss` is the loop of a harness that was really used. Its larger batches drop more, and what is dropped costs nothing.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from assay.experiment.load import load_data
from assay.text.files import locate_file
from lies.runs import Settings, Shown

TITLE = "Tokens that are never scored"
STEPS = 150
SHAPES = [(128, 64), (256, 64), (256, 128), (256, 256)]  # tokens in a row, rows in a batch
CHANGES = ("tokenizer.vocabulary=16000", "batches.kind=windows", "batches.window=256", "batches.size=4", "model.width=64", "model.depth=2")


def show(settings: Settings) -> Shown:
    """Train one model of short titles, and let the harness evaluate it at several shapes of the batch."""
    recipe = "bible" if locate_file("titles.tsv", settings.data_dir) is None else "titles"
    run = settings.train(recipe, settings.scale(STEPS), *CHANGES)
    part, honest = load_data(run.config, settings.data_dir).parts["validation"], run.score(checkpoint="last")
    tokens, model, decode = part.tokens.astype(np.int64), run.model("last"), run.tokenizer.decode
    divisor = honest.characters + (len("<eos>") - 1) * part.document_count  # the harness writes out each end
    found = []
    for block, batch in SHAPES:
        nats, scored = careless_loss(model, tokens, block, batch)
        own = nats / count_characters(decode(scored)) if len(scored) else math.nan
        found.append({"shape": f"{block} x {batch}", "tokens": len(scored), "reported": nats / divisor, "nats_per_scored_character": own})

    rows = [
        (f"harness, {one['shape']}", f"{one['tokens']:,}", f"{100 * one['tokens'] / len(tokens):.1f} %", f"{one['reported']:.4f}",
         f"{one['nats_per_scored_character']:.4f}")
        for one in found
    ]  # fmt: skip
    per_character = f"{honest.nats / honest.characters:.4f}"
    rows.append(("Assay, every byte once", f"{honest.tokens_scored:,}", "100.0 %", per_character, per_character))
    first, last = found[0], found[-1]
    return Shown(
        claim=f"With batches of {last['shape']} my model's loss falls from {first['reported']:.3f} to {last['reported']:.3f}, "
        f"{100 * (1 - last['reported'] / first['reported']):.0f} % lower than at {first['shape']}.",
        tables=[[("nats per character, by block x batch", "tokens scored", "of all", "reported", "over what was scored"), *rows]],
        wrong=f"It is one set of weights (of {'Hacker News titles' if recipe == 'titles' else 'the Bible, as no titles.tsv was found'}), "
        f"evaluated {len(found)} times. The harness drops what does not fill a batch, and divides by the characters of all "
        f"{len(tokens):,} tokens.",
        right=f"A score is a sum over every byte, each exactly once: {honest.bytes_scored:,} of {honest.bytes_in_split:,} bytes, "
        f"{honest.bits_per_byte:.4f} bits per byte, whatever the batch.",
        figures={"recipe": recipe, "careless": found, "honest": honest.nats / honest.characters, "tokens": honest.tokens_scored},
    )


@torch.inference_mode()
def careless_loss(model: Callable[..., Any], tokens: np.ndarray, block: int, batch: int) -> tuple[float, np.ndarray]:
    """The nats of all full batches, and the tokens that were scored; what does not fill a batch is left out."""
    nats, scored, span = 0.0, [tokens[:0]], block * batch + 1
    for start in range(0, len(tokens) - span + 1, span):
        read = tokens[start : start + span - 1].reshape(batch, block)
        target = tokens[start + 1 : start + span].reshape(batch, block)
        for rows in np.array_split(np.arange(batch), max(1, batch * block // 8192)):  # all at once would not fit into memory
            logits = model(read[rows]).logits
            nats += float(cross_entropy(logits.flatten(0, 1), torch.from_numpy(target[rows].ravel()), reduction="sum"))
        scored.append(target.ravel())
    return nats, np.concatenate(scored)


def count_characters(text: bytes) -> int:
    """Characters of UTF-8 text: every byte that does not continue one."""
    return sum(byte & 0xC0 != 0x80 for byte in text)
