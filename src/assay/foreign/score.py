"""Score a model from elsewhere on every byte of a text, by the scorer of Assay's own models."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from assay.errors import AssayError, DataError, UserError, check_range, is_out_of_memory
from assay.evaluation.protocol import Protocol
from assay.evaluation.readers import WindowReader
from assay.evaluation.score import Score, Scorer
from assay.foreign.adapter import ForeignCall, ForeignModel, ModelFunction, choose_device, describe_model, find_module
from assay.foreign.check import check_model
from assay.foreign.tokenizer import encode_text, to_bytes
from assay.models.base import Model, evaluation_mode
from assay.text.corpus import SEPARATOR
from assay.text.token_files import TokenizedPart, make_part
from assay.text.tokenizer import Tokenizer

GivenText = str | bytes | Path | Sequence[str | bytes]

PATH = re.compile(r"\S+\.\w{1,5}|\S*[/\\]\S*")  # a str that a person means as a path
LONGEST_PATH = 4096  # characters
MAX_ROWS = 32  # read at once, as by the scorer of runs
MAX_LOGITS = 1 << 26  # held at once: 256 MiB in float32
CHECKED_LENGTH = 32  # tokens on which the model is checked beforehand
SPOILING_KINDS = frozenset({"looks_ahead", "mixes_rows", "not_deterministic", "changes_state", "non_finite", "probabilities"})


class Documents(NamedTuple):
    """A text as documents: a single one is the text as it is, several are each followed by a newline."""

    texts: list[bytes]
    separator: bytes
    name: str


class TokenizedText(NamedTuple):
    """The tokens to be scored and how they begin."""

    part: TokenizedPart
    tokenizer: Tokenizer
    name: str
    start: int | None  # the token before the first; None: there is none


def score_foreign(  # noqa: PLR0913
    model: ModelFunction, tokenizer: Any, text: GivenText, context: int = 256, stride: int | None = None, *, start: int | None = None,
    batch: int | None = None, device: torch.device | str | None = None,
) -> Score:  # fmt: skip
    """Score every byte of `text`, read in windows of `context` tokens with `stride` new ones each (None: side by side).

    `model` is any callable from ids [B, T] to logits [B, T, V]; a module is scored in evaluation mode and put back. `tokenizer` has encode
    and decode, or is a table from ids to bytes. `text` is bytes, a path, a str (a file's path, else the text), or documents, each followed
    by a newline. `start` is a token to put before the text; without one the first token is one of V equally likely ones. A tokenizer
    of Assay's brings its own: its end token, which also stands for the newline after each document.

    Raises DataError where the tokens do not spell every byte, UserError for a model whose figure would mean nothing.
    """
    source = _tokenize(tokenizer, text, start)
    on_device = choose_device(model, device)
    check_range("context", context, 1)
    check_range("batch", batch, 1)
    step = context if stride is None else stride
    if not 1 <= step <= context:
        raise UserError(f"stride: {step} is not between 1 and the context of {context} tokens; choose one that is")
    with evaluation_mode(find_module(model)):
        scored = model if isinstance(model, Model) else _adapt(ForeignCall(model, on_device), source, context)
        reader = WindowReader(source.part, _choose_start(scored, source), context, step, False)
        dtype = _find_dtype(scored, source, on_device)
        protocol = Protocol.of_windows(
            reader, source.name, source.tokenizer, dtype, describe_model(model), uniform_first=source.start is None
        )
        rows = batch or max(1, min(MAX_ROWS, MAX_LOGITS // (context * scored.vocabulary)))
        return Scorer(reader, source.tokenizer, protocol, on_device, rows).score(scored)


def _tokenize(tokenizer: Any, text: GivenText, start: int | None) -> TokenizedText:
    """Tokenize a text. Raises DataError where it is empty or the tokens do not spell all of it."""
    documents = read_documents(text)
    own = isinstance(tokenizer, Tokenizer)
    ends = own and bool(documents.separator) and tokenizer.decode([tokenizer.end_id]) == documents.separator
    adapted, ids = encode_text(tokenizer, documents.texts if ends else [document + documents.separator for document in documents.texts])
    if ends:
        ids = [np.append(some, adapted.dtype.type(adapted.end_id)) for some in ids]
    part = make_part(documents.texts, documents.separator, ids, has_end_tokens=ends)
    return TokenizedText(part, adapted, documents.name, adapted.end_id if own and start is None else start)


def _adapt(call: ForeignCall, source: TokenizedText, context: int) -> ForeignModel:
    """Make a model of the callable. Raises UserError where it cannot read such a text, or has a fault that spoils every figure."""
    ids = torch.from_numpy(source.part.tokens[:context].astype(np.int64)).unsqueeze(0)
    try:
        vocabulary = int(call.logits(torch.zeros_like(ids)).shape[-1])
    except AssayError:
        raise
    except Exception as error:  # whatever a model raises
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"context: the model cannot read {ids.shape[1]} tokens ({type(error).__name__}: {error}); give a context that it can read"
        ) from error
    _refuse_unknown(source.part, vocabulary)
    length = min(CHECKED_LENGTH, context)
    if length >= 2:
        used = max(2, int(source.part.tokens.max()) + 1)  # logits may be padded beyond what the model reads
        for finding in check_model(call.function, used, length=length, device=call.device):
            if finding.kind in SPOILING_KINDS:
                raise UserError(f"the model {finding.sentence}; its figure would mean nothing; fix this first")
    return ForeignModel(call, vocabulary)


def _refuse_unknown(part: TokenizedPart, vocabulary: int) -> None:
    if (largest := int(part.tokens.max())) >= vocabulary:
        raise UserError(f"the text has token {largest}, and the model knows {vocabulary}; model and tokenizer do not belong together")


def _choose_start(model: Model, source: TokenizedText) -> int:
    """Choose the id before the text; V where there is none, which a model from elsewhere does not get to see."""
    _refuse_unknown(source.part, model.vocabulary)
    uniform = source.start is None and isinstance(model, ForeignModel)
    if not uniform and (source.start is None or not 0 <= source.start < model.vocabulary):
        raise UserError(f"start: the text must begin with a token from 0 to {model.vocabulary - 1} in this model; give one")
    return model.vocabulary if source.start is None else source.start


@torch.no_grad()
def _find_dtype(model: Model, source: TokenizedText, device: torch.device) -> str:
    """Find the type of the logits."""
    ids = torch.from_numpy(source.part.tokens[:1].astype(np.int64)).unsqueeze(0).to(device)
    return str(model(ids).logits.dtype).removeprefix("torch.")


def read_documents(text: GivenText) -> Documents:
    """Read the bytes of a text. Raises DataError for a file that cannot be read, for what is no text, and for an empty list."""
    if isinstance(text, Path) or (isinstance(text, str) and _is_path(text)):
        try:
            return Documents([Path(text).read_bytes()], b"", f"text {Path(text).name}")
        except OSError as error:
            raise DataError(f"{text}: cannot be read ({error.strerror}); give the path of a file, or the text itself as bytes") from None
    if isinstance(text, str | bytes):
        return Documents([to_bytes(text)], b"", "text")
    documents = list(text) if isinstance(text, Iterable) else [text]
    if not documents:
        raise DataError("the text is empty; there is nothing to score")
    for document in documents:
        if not isinstance(document, str | bytes):
            raise DataError(f"text: {document!r} is no text; give a str, bytes, a path, or a list of str or bytes")
    return Documents([to_bytes(document) for document in documents], SEPARATOR, "text")


def _is_path(text: str) -> bool:
    """Whether a str is a file's path and not a text: there is such a file, or it looks like one."""
    short = len(text) < LONGEST_PATH and not {"\n", "\0"} & set(text)
    return short and (PATH.fullmatch(text) is not None or Path(text).is_file())
