"""Measure the loss of single tokens: score a few short validation documents with a run's checkpoint, each document alone.

They are measured by the same scorer as every other score, when they are first needed, and stored in the run as `reading-*.json`.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from assay.core.devices import resolve_device
from assay.data.prepare import PreparedText
from assay.errors import AssayError, RunError, explain_os_error, try_to_store
from assay.experiment.assemble import ScoreTarget, make_scorer
from assay.experiment.load import load_checkpoint, load_data, read_config
from assay.runs.checkpoint_ref import CheckpointRef, list_steps
from assay.runs.directory import RunDirectory
from assay.runs.json_files import CHECKPOINT, TEXT, WHOLE, Shape, list_of, read_object, record
from assay.text.corpus import SEPARATOR
from assay.text.token_files import TokenizedPart, make_part
from assay.text.tokenizer import Tokenizer
from assay.training import checkpoint as checkpoints

READING_SHAPE = record(
    "format documents texts_sha256 checkpoint",
    format=WHOLE, checkpoint=CHECKPOINT, texts_sha256=TEXT, documents=list_of(list_of(list_of(Shape((str, float))))),
)  # fmt: skip
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
    error: str = ""


def measure_token_losses(run: RunDirectory, data_dir: Path | None, checkpoint: str = "best") -> TokenLosses:
    """Score the documents with a run's checkpoint, unless the run has stored the result or has no checkpoint any more."""
    name, stored = f"reading-{checkpoint}.json", None
    with suppress(FileNotFoundError, RunError):  # a damaged one is measured anew
        stored = read_object(run.path / name, READING_SHAPE, "")
    try:
        ref = checkpoints.resolve(run.checkpoints, checkpoint) if list_steps(run.checkpoints) else None
        if stored is None or stored["format"] != FORMAT or (ref is not None and CheckpointRef.parse(stored["checkpoint"]) != ref):
            stored = {"format": FORMAT, **_score_documents(run, data_dir, checkpoint)}
            try_to_store(partial(run.write_json, name, stored))  # it is shown all the same
    except AssayError as missing:
        return TokenLosses((), "", str(missing))
    except OSError as refused:
        return TokenLosses((), "", explain_os_error(refused))
    documents = tuple(tuple(TokenLoss(*token) for token in document) for document in stored["documents"])
    return TokenLosses(documents, stored["texts_sha256"])


def _score_documents(run: RunDirectory, data_dir: Path | None, checkpoint: str) -> dict[str, Any]:
    config = read_config(run)
    prepared = load_data(config, data_dir)
    device = resolve_device(config.train.device)
    model, tokenizer, ref = load_checkpoint(run, checkpoint, str(device))
    if tokenizer.digest != prepared.tokenizer.digest:
        raise AssayError("the text gives another tokenizer than the run's; the corpus has changed since it was trained")
    texts, ends = choose_documents(prepared), prepared.parts["validation"].has_end_tokens
    end = np.full(int(ends), tokenizer.end_id, tokenizer.dtype)
    ids = [np.concatenate([document, end]) for document in tokenizer.encode(texts)]
    part = make_part(texts, SEPARATOR if ends else b"", ids, has_end_tokens=ends)
    scorer = make_scorer(config, prepared, ScoreTarget(part, "validation, a few documents", ref), device, "documents")
    bits = np.split(scorer.score(model).targets.bits, part.offsets[1:-1])
    documents = [join_characters(document.tolist(), values.tolist(), tokenizer) for document, values in zip(ids, bits, strict=True)]
    return {"checkpoint": ref.to_dict(), "texts_sha256": part.sha256, "documents": documents}


def choose_documents(prepared: PreparedText) -> list[bytes]:
    """Choose up to four short documents from all over the validation part, or the beginning of the first one where none is short."""
    part = prepared.parts["validation"]
    fits = part.byte_sizes <= LONG
    long_enough = fits & (part.byte_sizes >= SHORT)
    short = np.nonzero(long_enough if long_enough.any() else fits)[0]
    if len(short):
        places = np.unique(np.linspace(0, len(short) - 1, DOCUMENTS + 2).round().astype(np.int64)[1:-1])
        return [prepared.tokenizer.decode(_text(part, int(index))) for index in short[places]]
    text = prepared.tokenizer.decode(_text(part, 0)[:EXCERPT])[:EXCERPT]  # a token is a byte at least
    return [text.decode("utf-8", "ignore").encode() or text]


def join_characters(ids: Sequence[int], bits: Sequence[float], tokenizer: Tokenizer) -> list[TokenLoss]:
    """Put tokens that are parts of one character together, so that each can be shown, and add up their bits."""
    losses: list[TokenLoss] = []
    pending, cost, count = b"", 0.0, 0
    for place, (token, value) in enumerate(zip(ids, bits, strict=True)):
        pending, cost, count = pending + tokenizer.decode([token]), cost + value, count + 1
        try:
            text = pending.decode()
        except UnicodeDecodeError:
            if len(pending) < 4 and place + 1 < len(ids):
                continue
            text = pending.decode("utf-8", "replace")
        losses.append(TokenLoss(text, round(cost, 3), count))
        pending, cost, count = b"", 0.0, 0
    return losses


def _text(part: TokenizedPart, index: int) -> Any:
    document = part.document(index)
    return document[: len(document) - part.has_end_tokens]
