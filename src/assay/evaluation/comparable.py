"""Whether scores can be set side by side at all, and what else is unequal between them."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from assay.core.config import flatten
from assay.errors import UserError
from assay.evaluation.stored import Stored

NEARLY = 0.01  # contexts and training texts that differ by less are called equal


def refuse_unequal(runs: Sequence[Stored]) -> None:
    """Raise UserError unless all runs were scored on the same documents of the same split, byte for byte."""
    for one, other in pairwise(runs):
        between = f"{one.name} and {other.name}"
        a, b = one.protocol, other.protocol
        if a["split"] != b["split"]:
            raise UserError(f"{between}: scored on {a['split']} and on {b['split']}; score both on the same split")
        if a["text_sha256"] != b["text_sha256"] or one.figures["units"]["bytes_sha256"] != other.figures["units"]["bytes_sha256"]:
            hashes = f"sha256 {a['text_sha256'][:8]} and {b['text_sha256'][:8]}"
            raise UserError(
                f"{between}: their {a['split']} texts are not the same bytes ({hashes}); train both on the same corpus and split"
            )
        if a["split_sha256"] != b["split_sha256"]:
            raise UserError(f"{between}: their documents were divided differently into training, validation and test; use the same split")
        if one.figures["units"]["kind"] != other.figures["units"]["kind"] or not np.array_equal(one.sizes, other.sizes):
            raise UserError(f"{between}: their scores are kept by different pieces of the text; score both again with `assay score`")


def refuse_unlike_seeds(runs: Sequence[Stored]) -> None:
    """Raise UserError unless runs differ in the seed and in nothing else."""
    first = _without_seed(runs[0])
    for run in runs[1:]:
        other = _without_seed(run)
        unlike = [key for key in dict.fromkeys([*first, *other]) if first.get(key) != other.get(key)]
        if unlike:
            place = f"{runs[0].name} and {run.name}"
            raise UserError(
                f"{place}: differ in {', '.join(unlike[:3])}, so they are not seeds of one configuration; write them as two arms"
            )
    drawn = [run.config.get("train", {}).get("seed") for run in runs]
    if len(runs) > 1 and None in drawn:
        raise UserError(
            f"{runs[drawn.index(None)].name}: is a score without its run's config, so its seed is unknown; name the run instead"
        )
    for index, seed in enumerate(drawn):
        if seed in drawn[:index]:
            twice = f"{runs[drawn.index(seed)].name} and {runs[index].name}"
            raise UserError(f"{twice}: have the same seed {seed}, so they are one run twice; leave one out")


def _without_seed(run: Stored) -> dict[str, Any]:
    return {key: value for key, value in flatten(run.config) if key != "train.seed"}


def _tokenizer(run: Stored) -> str:
    kind = run.config.get("tokenizer", {})
    size = f" {kind['vocabulary']:,}" if isinstance(kind.get("vocabulary"), int) else ""
    return f"{kind.get('kind', 'unknown')}{size} ({run.protocol['tokenizer'][:8]})"


def _count(run: Stored, what: str) -> str:
    return f"{run.trained[what]:,}" if what in run.trained else "unknown"


NAMED: dict[str, Callable[[Stored], Any]] = {
    "policy": lambda run: run.protocol["policy"],
    "dynamic_evaluation": lambda run: run.protocol.get("dynamic") or "none",
    "stride": lambda run: f"{run.protocol['stride']:,} tokens",
    "streams": lambda run: run.protocol["streams"],
    "document_mask": lambda run: "on" if run.protocol["document_mask"] else "off",
    "dtype": lambda run: run.protocol["dtype"],
    "checkpoint": lambda run: "none" if run.checkpoint is None else run.checkpoint.kind,
    "tokenizer": _tokenizer,
    "budget": lambda run: run.config.get("train", {}).get("budget"),
    "parameters": lambda run: _count(run, "parameters"),
}


def unequal(a: Stored, b: Stored) -> dict[str, tuple[str, str]]:
    """What is unequal in how two runs were scored and trained, with the value of each; they can be compared all the same."""
    found = {}
    if not _close(a.context_bytes, b.context_bytes):
        found["longest_context"] = (_context(a), _context(b))
    for name, value in NAMED.items():
        if value(a) != value(b):
            found[name] = (str(value(a)), str(value(b)))
    for name in ("training_tokens", "training_bytes"):
        if not _close(a.trained.get(name, 0), b.trained.get(name, 0)):
            found[name] = (_count(a, name), _count(b, name))
    return found


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= NEARLY * max(a, b)


def _context(run: Stored) -> str:
    return f"{run.protocol['context']:,} tokens, about {run.context_bytes:,.0f} bytes"
