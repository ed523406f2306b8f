"""What single tokens cost a model: a few short validation documents scored with a run's checkpoint, each document alone.

They are measured by the same scorer as every other figure, when they are first asked for, and kept in the run as `reading-*.json`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from assay.core.devices import resolve
from assay.data.prepare import Prepared
from assay.errors import AssayError
from assay.experiment.load import load_data, load_model, read_config
from assay.experiment.scorers import make_scorer
from assay.runs.checkpoint_ref import CheckpointRef, steps_in
from assay.runs.directory import RunDirectory
from assay.text.corpus import SEPARATOR, raw_sha256
from assay.text.store import Part
from assay.text.tokenizer import Tokenizer
from assay.training import checkpoint as checkpoints

FORMAT = 1  # raised when the rules below change
DOCUMENTS = 4
SHORT, LONG = 40, 260  # bytes of a document that is shown whole; shorter ones only where all are shorter
EXCERPT = 400  # bytes that are shown of the beginning of a text without such documents


class TokenLoss(NamedTuple):
    """One token, or the few that spell one character together."""

    text: str
    bits: float
    tokens: int


class TokenLosses(NamedTuple):
    """The tokens of some documents with what each cost a model, or why they could not be scored."""

    documents: tuple[tuple[TokenLoss, ...], ...]
    texts_sha256: str
    missing: str = ""


def measure_token_losses(run: RunDirectory, data_dir: Path | None, checkpoint: str = "best") -> TokenLosses:
    """Score the documents with a run's checkpoint; as kept in the run, where this checkpoint was scored or there is none any more."""
    file = run.path / f"reading-{checkpoint}.json"
    kept = _kept(file)
    try:
        ref = _available(run, checkpoint)
        if kept is None or (ref is not None and CheckpointRef.read(kept["checkpoint"]) != ref):
            kept = {"format": FORMAT, "checkpoint": None if ref is None else ref.tree(), **_measure(run, data_dir, checkpoint)}
            run.write_json(file.name, kept)
    except (AssayError, OSError) as missing:
        return TokenLosses((), "", str(missing))
    documents = tuple(tuple(TokenLoss(*token) for token in document) for document in kept["documents"])
    return TokenLosses(documents, kept["texts_sha256"])


def _available(run: RunDirectory, checkpoint: str) -> CheckpointRef | None:
    """The checkpoint that is meant; None where the run keeps none."""
    return checkpoints.resolve(run.checkpoints, checkpoint) if steps_in(run.checkpoints) else None


def _kept(file: Path) -> dict[str, Any] | None:
    try:
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept if kept.get("format") == FORMAT else None


def _measure(run: RunDirectory, data_dir: Path | None, checkpoint: str) -> dict[str, Any]:
    """Score the documents now."""
    config = read_config(run)
    prepared = load_data(config, data_dir)
    device = resolve(config.train.device)
    ref = checkpoints.resolve(run.checkpoints, checkpoint)
    trained = load_model(run.path, checkpoint=checkpoint, device=str(device))
    if trained.tokenizer.digest != prepared.tokenizer.digest:
        raise AssayError("the text gives another tokenizer than the run's; the corpus has changed since it was trained")
    texts = choose_documents(prepared)
    part = _part(texts, prepared.tokenizer, ends=prepared.parts["validation"].ends)
    scorer = make_scorer(config, prepared, part, ("validation, a few documents", ref), device, "documents")
    targets = scorer.score(trained.model).targets
    ids = [part.document(index).tolist() for index in range(part.documents)]
    bits = np.split(targets.bits, part.offsets[1:-1])
    documents = [join_characters(document, values.tolist(), prepared.tokenizer) for document, values in zip(ids, bits, strict=True)]
    return {"texts_sha256": part.sha256, "documents": documents}


def choose_documents(prepared: Prepared) -> list[bytes]:
    """Choose up to four short documents from all over the validation part, or the beginning of the first one where none is short."""
    part = prepared.parts["validation"]
    fits = part.sizes <= LONG
    long_enough = fits & (part.sizes >= SHORT)
    short = np.nonzero(long_enough if long_enough.any() else fits)[0]
    if len(short):
        places = np.unique(np.linspace(0, len(short) - 1, DOCUMENTS + 2).round().astype(np.int64)[1:-1])
        return [prepared.tokenizer.decode(_text(part, int(index))) for index in short[places]]
    text = prepared.tokenizer.decode(_text(part, 0)[:EXCERPT])[:EXCERPT]  # a token is a byte at least
    return [text.decode("utf-8", "ignore").encode()] if text.decode("utf-8", "ignore") else [text]


def join_characters(ids: Sequence[int], bits: Sequence[float], tokenizer: Tokenizer) -> list[TokenLoss]:
    """Put tokens that are parts of one character together, so that each can be shown, and add up their bits."""
    found: list[TokenLoss] = []
    waiting, cost, count = b"", 0.0, 0
    for place, (token, value) in enumerate(zip(ids, bits, strict=True)):
        waiting, cost, count = waiting + tokenizer.decode([token]), cost + value, count + 1
        try:
            text = waiting.decode()
        except UnicodeDecodeError:
            if len(waiting) < 4 and place + 1 < len(ids):
                continue
            text = waiting.decode("utf-8", "replace")
        found.append(TokenLoss(text, round(cost, 3), count))
        waiting, cost, count = b"", 0.0, 0
    return found


def _text(part: Part, index: int) -> Any:
    document = part.document(index)
    return document[: len(document) - part.ends]


def _part(texts: Sequence[bytes], tokenizer: Tokenizer, *, ends: bool) -> Part:
    """Some documents as a part of their own."""
    end = np.full(int(ends), tokenizer.end, tokenizer.dtype)
    ids = [np.concatenate([document, end]) for document in tokenizer.encode(texts)]
    sizes = np.array([len(text) + ends for text in texts], dtype=np.int64)
    offsets = np.cumsum([0, *map(len, ids)])
    return Part(np.concatenate(ids), offsets, sizes, None, raw_sha256(texts, SEPARATOR if ends else b""), ends)
