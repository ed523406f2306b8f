"""Spelling: tokens of other libraries give their bytes, and the first byte that a tokenizer changes is named."""

import numpy as np
import pytest

from assay.errors import DataError
from assay.text.bpe import byte_alphabet, spell_byte_level
from assay.text.piece_tokenizers import ByteTokenizer
from assay.text.spelling import check_spelling, spell_sentencepiece


def test_the_byte_level_alphabet_spells_every_byte() -> None:
    assert spell_byte_level("".join(byte_alphabet())) == bytes(range(256))
    assert spell_byte_level("ĠGod") == b" God"
    with pytest.raises(KeyError):
        spell_byte_level("言")


@pytest.mark.parametrize(("token", "raw"), [("<0x0A>", b"\n"), ("▁God", b" God"), ("言", "言".encode()), ("<0x0a>", b"<0x0a>")])
def test_a_sentencepiece_vocabulary_spells_bytes_and_spaces(token: str, raw: bytes) -> None:
    assert spell_sentencepiece(token) == raw


def test_the_first_changed_byte_is_named_with_its_document() -> None:
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode([b"In the", b"beginning"])
    check_spelling(tokenizer, [b"In the", b"beginning"], ids)
    with pytest.raises(
        DataError, match=r"file: the tokenizer changes the text.*at byte 3 of document 1, b'Inning' comes back as b'inning'"
    ):
        check_spelling(tokenizer, [b"In the", b"begInning"], ids, "file: ")
    with pytest.raises(DataError, match=r"at byte 6 of document 0, b'!' comes back as b''"):
        check_spelling(tokenizer, [b"In the!"], [np.asarray(ids[0])])
