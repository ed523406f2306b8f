"""A tokenizer from elsewhere as a `Tokenizer`, held to the text that is scored: the bytes of its tokens must be the text.

It is an object with `encode` and `decode` (tiktoken, tokenizers, transformers, two functions in a SimpleNamespace), or a table of bytes:
a sequence or a dict from ids to bytes or characters.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from assay.core.config import Tree
from assay.errors import DataError, UserError
from assay.text.bpe import letters
from assay.text.tokenizer import Ids, Tokenizer

BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # how a SentencePiece vocabulary writes a byte
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # and a space
SHOWN = 12  # bytes of a text where it is changed

Encode = Callable[[bytes], Any]
Spell = Callable[[int], bytes]


class ForeignTokenizer(Tokenizer):
    """The tokens that a text was cut into, by their bytes; ids that do not occur in it have none. The end token is in no text."""

    def __init__(self, encode: Encode, spellings: Sequence[bytes]) -> None:
        self.spellings, self._encode = [*spellings, b""], encode

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """The ids of each document. Raises DataError where they do not spell it."""
        found = [np.asarray(self._encode(document), self.dtype) for document in documents]
        for document, ids in zip(documents, found, strict=True):
            if (spelt := self.decode(ids)) != document:
                raise _changed(document, spelt)
        return found

    def tree(self) -> Tree:
        """The kind and the hash of what the ids stand for."""
        whole = hashlib.sha256()
        for spelling in self.spellings:
            whole.update(len(spelling).to_bytes(8, "little") + spelling)
        return {"kind": "foreign", "sha256": whole.hexdigest()}


class Encoded(NamedTuple):
    """A tokenizer and what it makes of some documents."""

    tokenizer: Tokenizer
    ids: list[Ids]


def encode_text(tokenizer: Any, documents: Sequence[bytes]) -> Encoded:
    """The ids of documents. Raises DataError where their bytes are not all in them, UserError for what is no tokenizer."""
    if isinstance(tokenizer, Tokenizer):
        return Encoded(tokenizer, tokenizer.encode(documents))
    if hasattr(tokenizer, "encode") and hasattr(tokenizer, "decode"):
        encode, ways = _encoder(tokenizer), _ways(tokenizer)
    elif isinstance(tokenizer, Mapping) or (isinstance(tokenizer, Sequence) and not isinstance(tokenizer, str | bytes)):
        table = _table(tokenizer)
        encode, ways = _table_encoder(table), [table.__getitem__]
    else:
        raise UserError(
            f"a tokenizer is an object with encode and decode, or a table from ids to bytes, and {type(tokenizer).__name__} is neither; "
            "two functions make one: types.SimpleNamespace(encode=encode, decode=decode)"
        )
    found = [encode(document) for document in documents]
    spellings = _spellings(np.concatenate(found), b"".join(documents), ways)
    known = ForeignTokenizer(encode, spellings)
    return Encoded(known, [ids.astype(known.dtype) for ids in found])


def _encoder(tokenizer: Any) -> Encode:
    """`encode` of an object: from text where it takes text, else from bytes; nothing is put around the text."""
    call = getattr(tokenizer, "encode_ordinary", tokenizer.encode)
    try:
        plain = {"add_special_tokens": False} if "add_special_tokens" in inspect.signature(call).parameters else {}
    except ValueError:  # a function without a signature
        plain = {}

    def encode(document: bytes) -> Any:
        failures: list[Exception] = []
        for form in (bytes.decode, bytes):
            try:
                given = form(document)
                made = call(given, **plain)
                return _integers(getattr(made, "ids", made))
            except Exception as failure:  # whatever a tokenizer raises for a form or a character that it does not know
                failures.append(failure)
        raise _unknown(document, call, failures[0])

    return encode


def _integers(made: Any) -> Any:
    ids = np.asarray(made)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise TypeError("ids are integers in a row")
    return ids.astype(np.int64)


def _unknown(document: bytes, call: Callable[[Any], Any], failure: Exception) -> DataError:
    """Where a text has what the tokenizer does not take."""
    if isinstance(failure, UnicodeDecodeError):
        return DataError(f"byte {failure.start} of the text is not UTF-8 ({failure.reason}), and this tokenizer reads only that")
    text = document.decode()
    for character in dict.fromkeys(text):
        try:
            call(character)
        except Exception:
            at = len(text[: text.index(character)].encode())
            return DataError(f"the tokenizer does not know {character!r}, byte {at} of the text; use one that knows every character of it")
    return DataError(f"the tokenizer cannot encode the text ({type(failure).__name__}: {failure})")


def _ways(tokenizer: Any) -> list[Spell]:
    """How an object may tell the bytes of a token; the first way that spells the text is right."""
    decode = getattr(tokenizer, "decode_single_token_bytes", None)
    ways: list[Spell] = [] if decode is None else [decode]
    ways.append(lambda token: _bytes(tokenizer.decode([token])))
    name = getattr(tokenizer, "convert_ids_to_tokens", None) or getattr(tokenizer, "id_to_token", None)
    if name is not None:
        byte_of = {letter: byte for byte, letter in enumerate(letters())}
        ways.append(lambda token: bytes(byte_of[letter] for letter in name(token)))
        ways.append(lambda token: _piece(name(token)))
    return ways


def _piece(name: str) -> bytes:
    found = BYTE.fullmatch(name)
    return bytes([int(found[1], 16)]) if found else name.replace(SPACE, " ").encode()


def _bytes(spelt: Any) -> bytes:
    return spelt.encode() if isinstance(spelt, str) else bytes(spelt)


def _spellings(ids: Ids, text: bytes, ways: Iterable[Spell]) -> list[bytes]:
    """The bytes of each token of the text, empty for other tokens. Raises DataError where no way of spelling gives the text."""
    used, failed = np.unique(ids).tolist(), None
    for spell in ways:
        spellings = [b""] * (used[-1] + 1 if used else 0)
        try:
            for token in used:
                spellings[token] = spell(token)
        except Exception:  # this way is not for this tokenizer
            continue
        spelt = b"".join([spellings[token] for token in ids.tolist()])
        if spelt == text:
            return spellings
        failed = failed or _changed(text, spelt)
    raise failed or DataError("the tokenizer's decode does not take its own ids one at a time, as in decode([5]); make it do so")


def _changed(text: bytes, spelt: bytes) -> DataError:
    """Where a tokenizer changes a text."""
    pairs = enumerate(zip(text, spelt, strict=False))
    at = next((index for index, (one, other) in pairs if one != other), min(len(text), len(spelt)))
    return DataError(
        f"the tokenizer changes the text, so not every byte of it can be scored: at byte {at}, {text[at : at + SHOWN]!r} comes back as "
        f"{spelt[at : at + SHOWN]!r}; use a tokenizer that keeps every byte"
    )


def _table(given: Mapping[Any, Any] | Sequence[Any]) -> dict[int, bytes]:
    """A table from ids to bytes; one from characters to ids is turned round. Raises UserError where it could cut a text in two ways."""
    pairs = given.items() if isinstance(given, Mapping) else enumerate(given)
    table = dict((_entry(value, key) if isinstance(key, str | bytes) else _entry(key, value)) for key, value in pairs)
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


def _entry(token: Any, spelling: Any) -> tuple[int, bytes]:
    if not isinstance(spelling, str | bytes):
        raise UserError(f"the table gives {spelling!r} for token {token}; give bytes or a character")
    return int(token), _bytes(spelling)


def _table_encoder(table: Mapping[int, bytes]) -> Encode:
    """Of a table in which no token begins another, so that there is one way to cut a text."""
    token_of = {spelling: token for token, spelling in table.items() if spelling}
    pattern = re.compile(b"|".join(map(re.escape, token_of)), re.DOTALL)

    def encode(document: bytes) -> Any:
        pieces, at = [], 0
        while at < len(document):
            found = pattern.match(document, at)
            if found is None:
                raise DataError(f"the table has no token for {document[at : at + SHOWN]!r}, byte {at} of the text; add one")
            pieces.append(token_of[found[0]])
            at = found.end()
        return np.array(pieces, np.int64)

    return encode
