"""Check whether scores can be compared at all, and list what else is unequal between them."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from assay.core.trees import Tree, flatten
from assay.errors import UserError
from assay.evaluation.stored import StoredScore

TOLERANCE = 0.01  # contexts and training texts that differ by less are called equal


def refuse_unequal(runs: Sequence[StoredScore]) -> None:
    """Raise UserError unless all runs were scored on the same documents of the same split, byte for byte."""
    for one, other in pairwise(runs):
        between = f"{one.name} and {other.name}"
        a, b = one.protocol, other.protocol
        if a["split"] != b["split"]:
            raise UserError(f"{between}: scored on {a['split']} and on {b['split']}; score both on the same split")
        if a["text_sha256"] != b["text_sha256"] or one.values["units"]["bytes_sha256"] != other.values["units"]["bytes_sha256"]:
            hashes = f"sha256 {a['text_sha256'][:8]} and {b['text_sha256'][:8]}"
            raise UserError(
                f"{between}: their {a['split']} texts are not the same bytes ({hashes}); train both on the same corpus and split"
            )
        if a["split_sha256"] != b["split_sha256"]:
            raise UserError(f"{between}: their documents were divided differently into training, validation and test; use the same split")
        if one.values["units"]["kind"] != other.values["units"]["kind"] or not np.array_equal(one.sizes, other.sizes):
            raise UserError(f"{between}: their scores are kept by different pieces of the text; score both again with `assay score`")


def refuse_unlike_seeds(runs: Sequence[StoredScore]) -> None:
    """Raise UserError unless runs differ in the seed and in nothing else."""
    first = flatten_without_seed(runs[0].config)
    for run in runs[1:]:
        other = flatten_without_seed(run.config)
        unlike = [key for key in dict.fromkeys([*first, *other]) if first.get(key) != other.get(key)]
        if unlike:
            place = f"{runs[0].name} and {run.name}"
            raise UserError(
                f"{place}: differ in {', '.join(unlike[:3])}, so they are not seeds of one configuration; write them as two arms"
            )
    seeds = [run.config.get("train", {}).get("seed") for run in runs]
    if len(runs) > 1 and None in seeds:
        raise UserError(
            f"{runs[seeds.index(None)].name}: is a score without its run's config, so its seed is unknown; name the run instead"
        )
    for index, seed in enumerate(seeds):
        if seed in seeds[:index]:
            twice = f"{runs[seeds.index(seed)].name} and {runs[index].name}"
            raise UserError(f"{twice}: have the same seed {seed}, so they are one run twice; leave one out")


def flatten_without_seed(config: Tree) -> dict[str, Any]:
    """Return the settings of a config by their dotted keys, all but the seed, and but for a text that is read as it is, said or not."""
    return {key: value for key, value in flatten(config) if key != "train.seed" and (key, value) != ("corpus.format", "text")}


def _describe_tokenizer(run: StoredScore) -> str:
    config = run.config.get("tokenizer", {})
    size = f" {config['vocabulary']:,}" if isinstance(config.get("vocabulary"), int) else ""
    return f"{config.get('kind', 'unknown')}{size} ({run.protocol['tokenizer'][:8]})"


def _format_count(run: StoredScore, name: str) -> str:
    return f"{run.training_counts[name]:,}" if name in run.training_counts else "unknown"


CONDITIONS: dict[str, Callable[[StoredScore], Any]] = {
    "policy": lambda run: run.protocol["policy"],
    "dynamic_evaluation": lambda run: run.protocol.get("dynamic") or "none",
    "stride": lambda run: f"{run.protocol['stride']:,} tokens",
    "streams": lambda run: run.protocol["streams"],
    "document_mask": lambda run: "on" if run.protocol["document_mask"] else "off",
    "dtype": lambda run: run.protocol["dtype"],
    "checkpoint": lambda run: "none" if run.checkpoint is None else run.checkpoint.kind,
    "tokenizer": _describe_tokenizer,
    "budget": lambda run: run.config.get("train", {}).get("budget"),
    "parameters": lambda run: _format_count(run, "parameters"),
}


def find_unequal_conditions(a: StoredScore, b: StoredScore) -> dict[str, tuple[str, str]]:
    """List what is unequal in how two runs were scored and trained, with both values; they can be compared all the same."""
    unequal = {}
    if not _is_close(a.context_bytes, b.context_bytes):
        unequal["longest_context"] = (_describe_context(a), _describe_context(b))
    for name, value in CONDITIONS.items():
        if value(a) != value(b):
            unequal[name] = (str(value(a)), str(value(b)))
    for name in ("training_tokens", "training_bytes"):
        if not _is_close(a.training_counts.get(name, 0), b.training_counts.get(name, 0)):
            unequal[name] = (_format_count(a, name), _format_count(b, name))
    return unequal


def _is_close(a: float, b: float) -> bool:
    return abs(a - b) <= TOLERANCE * max(a, b)


def _describe_context(run: StoredScore) -> str:
    return f"{run.protocol['context']:,} tokens, about {run.context_bytes:,.0f} bytes"
