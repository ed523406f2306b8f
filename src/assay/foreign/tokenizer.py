"""Adapt a tokenizer from elsewhere as a `Tokenizer`, and check that the bytes of its tokens are the text that is scored.

It is an object with `encode` and `decode` (tiktoken, tokenizers, transformers, two functions in a SimpleNamespace), or a table of bytes:
a sequence or a dict from ids to bytes or characters.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from assay.core.trees import Tree
from assay.errors import DataError, UserError
from assay.text.bpe import spell_byte_level
from assay.text.spelling import SHOWN, changed_text_error, check_spelling, not_utf8_error, spell_sentencepiece
from assay.text.tokenizer import Ids, Tokenizer

Encode = Callable[[bytes], Any]
Spell = Callable[[int], bytes]


class ForeignTokenizer(Tokenizer):
    """The tokens that a text was cut into, by their bytes; ids that do not occur in it have none. The end token is in no text."""

    def __init__(self, encode: Encode, spellings: Sequence[bytes]) -> None:
        self.token_bytes, self._encode = [*spellings, b""], encode

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Encode each document. Raises DataError where its ids do not spell it."""
        ids = [np.asarray(self._encode(document), self.dtype) for document in documents]
        check_spelling(self, documents, ids)
        return ids

    def to_dict(self) -> Tree:
        """The kind and the hash of what the ids stand for."""
        whole = hashlib.sha256()
        for spelling in self.token_bytes:
            whole.update(len(spelling).to_bytes(8, "little") + spelling)
        return {"kind": "foreign", "sha256": whole.hexdigest()}


def encode_text(tokenizer: Any, documents: Sequence[bytes]) -> tuple[Tokenizer, list[Ids]]:
    """Encode documents and adapt the tokenizer. Raises DataError where their ids do not spell every byte, UserError for no tokenizer."""
    if isinstance(tokenizer, Tokenizer):
        return tokenizer, tokenizer.encode(documents)
    if hasattr(tokenizer, "encode") and hasattr(tokenizer, "decode"):
        encode, spellers = _make_encoder(tokenizer), _list_spellers(tokenizer)
    elif isinstance(tokenizer, Mapping) or (isinstance(tokenizer, Sequence) and not isinstance(tokenizer, str | bytes)):
        table = _make_table(tokenizer)
        encode, spellers = _make_table_encoder(table), [table.__getitem__]
    else:
        raise UserError(
            f"a tokenizer is an object with encode and decode, or a table from ids to bytes, and {type(tokenizer).__name__} is neither; "
            "two functions make one: types.SimpleNamespace(encode=encode, decode=decode)"
        )
    encoded = [encode(document) for document in documents]
    adapted = ForeignTokenizer(encode, _spell_tokens(np.concatenate(encoded), b"".join(documents), spellers))
    return adapted, [ids.astype(adapted.dtype) for ids in encoded]


def _make_encoder(tokenizer: Any) -> Encode:
    """Make an encoder of an object's `encode`, of text where it takes text, else of bytes; nothing is put around the text."""
    call = getattr(tokenizer, "encode_ordinary", tokenizer.encode)
    try:
        options = {"add_special_tokens": False} if "add_special_tokens" in inspect.signature(call).parameters else {}
    except ValueError:  # a function without a signature
        options = {}

    def encode(document: bytes) -> Any:
        failures: list[Exception] = []
        for form in (bytes.decode, bytes):
            try:
                text = form(document)
                encoded = call(text, **options)
                return _check_ids(getattr(encoded, "ids", encoded))
            except Exception as failure:  # whatever a tokenizer raises for a form or a character that it does not know
                failures.append(failure)
        raise _explain_failure(document, call, failures[0])

    return encode


def _check_ids(encoded: Any) -> Any:
    ids = np.asarray(encoded)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise TypeError("ids are integers in a row")
    return ids.astype(np.int64)


def _explain_failure(document: bytes, call: Callable[[Any], Any], failure: Exception) -> DataError:
    """Make the error that names what in a text the tokenizer does not take."""
    if isinstance(failure, UnicodeDecodeError):
        return not_utf8_error(failure)
    text = document.decode()
    for character in dict.fromkeys(text):
        try:
            call(character)
        except Exception:
            at = len(text[: text.index(character)].encode())
            return DataError(f"the tokenizer does not know {character!r}, byte {at} of the text; use one that knows every character of it")
    return DataError(f"the tokenizer cannot encode the text ({type(failure).__name__}: {failure})")


def _list_spellers(tokenizer: Any) -> list[Spell]:
    """List the ways in which an object may tell the bytes of a token; the first one that spells the text is right."""
    decode = getattr(tokenizer, "decode_single_token_bytes", None)
    spellers: list[Spell] = [] if decode is None else [decode]
    spellers.append(lambda token: to_bytes(tokenizer.decode([token])))
    name = getattr(tokenizer, "convert_ids_to_tokens", None) or getattr(tokenizer, "id_to_token", None)
    if name is not None:
        spellers.append(lambda token: spell_byte_level(name(token)))
        spellers.append(lambda token: spell_sentencepiece(name(token)))
    return spellers


def to_bytes(text: Any) -> bytes:
    """Return the bytes of a str or of anything that is bytes."""
    return text.encode() if isinstance(text, str) else bytes(text)


def _spell_tokens(ids: Ids, text: bytes, spellers: Iterable[Spell]) -> list[bytes]:
    """Spell each token of the text in bytes; other tokens are empty. Raises DataError where no speller gives the text."""
    used, failed = np.unique(ids).tolist(), None
    for spell in spellers:
        spellings = [b""] * (used[-1] + 1 if used else 0)
        try:
            for token in used:
                spellings[token] = spell(token)
        except Exception:  # this speller is not for this tokenizer
            continue
        spelt = b"".join([spellings[token] for token in ids.tolist()])
        if spelt == text:
            return spellings
        failed = failed or changed_text_error(text, spelt)
    raise failed or DataError("the tokenizer's decode does not take its own ids one at a time, as in decode([5]); make it do so")


def _make_table(given: Mapping[Any, Any] | Sequence[Any]) -> dict[int, bytes]:
    """Make a table from ids to bytes; one from characters to ids is inverted. Raises UserError where it could cut a text in two ways."""
    pairs = given.items() if isinstance(given, Mapping) else enumerate(given)
    table = dict((_check_entry(value, key) if isinstance(key, str | bytes) else _check_entry(key, value)) for key, value in pairs)
    spellings = sorted(spelling for spelling in table.values() if spelling)
    if not spellings:
        raise UserError("the table has no tokens; give one from ids to bytes or characters")
    for shorter, longer in pairwise(spellings):
        if longer.startswith(shorter):
            raise UserError(
                f"the table does not say how a text is cut: {longer!r} begins with {shorter!r}, and both are tokens; "
                "give an object with encode and decode"
            )
    return table


def _check_entry(token: Any, spelling: Any) -> tuple[int, bytes]:
    if not isinstance(spelling, str | bytes):
        raise UserError(f"the table gives {spelling!r} for token {token}; give bytes or a character")
    return int(token), to_bytes(spelling)


def _make_table_encoder(table: Mapping[int, bytes]) -> Encode:
    """Make the encoder of a table in which no token begins another, so that there is one way to cut a text."""
    token_of = {spelling: token for token, spelling in table.items() if spelling}
    pattern = re.compile(b"|".join(map(re.escape, token_of)), re.DOTALL)

    def encode(document: bytes) -> Any:
        pieces, at = [], 0
        while at < len(document):
            match = pattern.match(document, at)
            if match is None:
                raise DataError(f"the table has no token for {document[at : at + SHOWN]!r}, byte {at} of the text; add one")
            pieces.append(token_of[match[0]])
            at = match.end()
        return np.array(pieces, np.int64)

    return encode
