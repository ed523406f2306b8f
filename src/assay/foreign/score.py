"""Bits per byte of a model from elsewhere: every byte of a text, by the scorer that scores Assay's own models."""

from typing import Any, NamedTuple

import numpy as np
import torch

from assay.core.devices import resolve
from assay.errors import AssayError, DataError, UserError, out_of_memory, refuse_outside
from assay.evaluation.protocol import Protocol
from assay.evaluation.score import Score, Scorer
from assay.evaluation.windows import Windows
from assay.foreign.adapter import Callee, ForeignCall, ForeignModel, describe_model, device_of, evaluating
from assay.foreign.check import check_model
from assay.foreign.text import Text, read_documents
from assay.foreign.tokenizer import encode_text
from assay.models.base import Model
from assay.runs.provenance import code_version
from assay.text.corpus import raw_sha256
from assay.text.store import Part
from assay.text.tokenizer import Tokenizer

ROWS = 32  # read at once, as by the scorer of runs
ELEMENTS = 1 << 26  # logits held at once, at most: 256 MiB in float32
CHECKED = 32  # tokens on which the model is checked beforehand
SPOILING = frozenset({"looks_ahead", "mixes_rows", "not_deterministic", "changes_state", "non_finite", "probabilities"})


class Source(NamedTuple):
    """The tokens to be scored and how they begin."""

    part: Part
    tokenizer: Tokenizer
    name: str
    start: int | None  # the token before the first; None: there is none


def score_foreign(  # noqa: PLR0913
    model: Callee, tokenizer: Any, text: Text, context: int = 256, stride: int | None = None, *, start: int | None = None,
    batch: int | None = None, device: torch.device | str | None = None,
) -> Score:  # fmt: skip
    """Bits per byte of every byte of `text`, read in windows of `context` tokens with `stride` new ones each (None: side by side).

    `model` is any callable from ids [B, T] to logits [B, T, V]; a module is scored in evaluation mode and put back. `tokenizer` has encode
    and decode, or is a table from ids to bytes. `text` is bytes, a path, a str (a file's path, else the text), or documents, each followed
    by a newline. `start` is a token to put before the text; without one the first token is one of V equally likely ones. A tokenizer
    of Assay's brings its own: its end token, which also stands for the newline after each document.

    Raises DataError where the tokens do not spell every byte, UserError for a model whose figure would mean nothing.
    """
    source = _source(tokenizer, text, start)
    where = resolve(str(device), "device") if device is not None else device_of(model)
    refuse_outside("context", context, 1)
    refuse_outside("batch", batch, 1)
    step = context if stride is None else stride
    if not 1 <= step <= context:
        raise UserError(f"stride: {step} is not between 1 and the context of {context} tokens; choose one that is")
    with evaluating(model):
        scored = model if isinstance(model, Model) else _adapted(ForeignCall(model, where), source, context)
        reading = Windows(source.part, _begin(scored, source), context, step, False)
        protocol = _protocol(source, reading, describe_model(model), _dtype(scored, source, where))
        rows = batch or max(1, min(ROWS, ELEMENTS // (context * scored.vocabulary)))
        return Scorer(reading, source.tokenizer, protocol, where, rows).score(scored)


def _protocol(source: Source, reading: Windows, model: str, dtype: str) -> Protocol:
    return Protocol(
        split=source.name,
        text_sha256=source.part.sha256,
        split_sha256="",
        tokenizer=source.tokenizer.digest,
        policy="disjoint" if reading.stride == reading.context else "strided",
        context=reading.context,
        stride=reading.stride,
        streams=0,
        document_mask=False,
        dtype=dtype,
        checkpoint=None,
        code=code_version(),
        model=model,
        uniform_first=source.start is None,
    )


def _source(tokenizer: Any, text: Text, start: int | None) -> Source:
    """The text in tokens. Raises DataError where it is empty or the tokens are not all of it."""
    documents = read_documents(text)
    own = isinstance(tokenizer, Tokenizer)
    ends = own and bool(documents.separator) and tokenizer.decode([tokenizer.end]) == documents.separator
    known, ids = encode_text(tokenizer, documents.texts if ends else [document + documents.separator for document in documents.texts])
    if ends:
        ids = [np.append(some, known.dtype.type(known.end)) for some in ids]
    if not any(map(len, ids)):
        raise DataError("the text is empty; there is nothing to score")
    part = Part(
        tokens=np.concatenate(ids),
        offsets=np.cumsum([0, *map(len, ids)]),
        sizes=np.array([len(document) + len(documents.separator) for document in documents.texts], dtype=np.int64),
        groups=None,
        sha256=raw_sha256(documents.texts, documents.separator),
        ends=ends,
    )
    return Source(part, known, documents.name, known.end if own and start is None else start)


def _adapted(call: ForeignCall, source: Source, context: int) -> ForeignModel:
    """The callable as a model. Raises UserError where it cannot read such a text, or is wrong in a way that makes its figure worthless."""
    ids = torch.from_numpy(source.part.tokens[:context].astype(np.int64)).unsqueeze(0)
    try:
        vocabulary = int(call.logits(torch.zeros_like(ids)).shape[-1])
    except AssayError:
        raise
    except Exception as error:  # whatever a model raises
        if out_of_memory(error):
            raise
        raise UserError(
            f"context: the model cannot read {ids.shape[1]} tokens ({type(error).__name__}: {error}); give a context that it can read"
        ) from error
    _refuse_unknown(source.part, vocabulary)
    length = min(CHECKED, context)
    if length >= 2:
        used = max(2, int(source.part.tokens.max()) + 1)  # logits may be padded beyond what the model reads
        for finding in check_model(call.callee, used, length=length, device=call.device):
            if finding.kind in SPOILING:
                raise UserError(f"the model {finding.sentence}; its figure would mean nothing, mend this first")
    return ForeignModel(call, vocabulary)


def _refuse_unknown(part: Part, vocabulary: int) -> None:
    if (largest := int(part.tokens.max())) >= vocabulary:
        raise UserError(f"the text has token {largest}, and the model knows {vocabulary}; model and tokenizer do not belong together")


def _begin(model: Model, source: Source) -> int:
    """The id before the text; V where there is none, which a model from elsewhere is not shown."""
    _refuse_unknown(source.part, model.vocabulary)
    uniform = source.start is None and isinstance(model, ForeignModel)
    if not uniform and (source.start is None or not 0 <= source.start < model.vocabulary):
        raise UserError(f"start: the text must begin with a token from 0 to {model.vocabulary - 1} in this model; give one")
    return model.vocabulary if source.start is None else source.start


@torch.no_grad()
def _dtype(model: Model, source: Source, device: torch.device) -> str:
    """The type of the logits."""
    ids = torch.from_numpy(source.part.tokens[:1].astype(np.int64)).unsqueeze(0).to(device)
    return str(model(ids).logits.dtype).removeprefix("torch.")
