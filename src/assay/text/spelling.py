"""Spell the tokens of other libraries' vocabularies in bytes, and check that a tokenizer keeps every byte of a text."""

import re
from collections.abc import Sequence

from assay.errors import DataError
from assay.text.tokenizer import Ids, Tokenizer

BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")  # how a SentencePiece vocabulary writes a byte
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # and a space
SHOWN = 12  # bytes of a text where it is changed


def spell_sentencepiece(token: str) -> bytes:
    """Spell a token of a SentencePiece vocabulary, which writes a byte as `<0x0A>` and a space as a low block."""
    byte = BYTE_TOKEN.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(SPACE, " ").encode()


def check_spelling(tokenizer: Tokenizer, documents: Sequence[bytes], ids: Sequence[Ids], place: str = "") -> None:
    """Raise DataError unless the ids of each document spell it; `place` begins the message, such as a file and a colon."""
    for number, (document, tokens) in enumerate(zip(documents, ids, strict=True)):
        if (spelt := tokenizer.decode(tokens)) != document:
            raise changed_text_error(document, spelt, place, f" of document {number}")


def changed_text_error(text: bytes, spelt: bytes, place: str = "", of_document: str = "") -> DataError:
    """Make the error that names the first byte at which a tokenizer changes a text."""
    pairs = enumerate(zip(text, spelt, strict=False))
    at = next((index for index, (one, other) in pairs if one != other), min(len(text), len(spelt)))
    return DataError(
        f"{place}the tokenizer changes the text, so not every byte of it can be scored: at byte {at}{of_document}, "
        f"{text[at : at + SHOWN]!r} comes back as {spelt[at : at + SHOWN]!r}; use a tokenizer that keeps every byte"
    )


def not_utf8_error(error: UnicodeDecodeError) -> DataError:
    """Make the error of a text that is not UTF-8, for a tokenizer that reads only that."""
    return DataError(f"byte {error.start} of the text is not UTF-8 ({error.reason}), and this tokenizer reads only that")
