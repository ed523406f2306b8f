"""Tokenizers are lossless for any bytes, account for every byte, and come back from their file."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.config import FAMILIES
from assay.errors import ConfigError, DataError
from assay.text import bpe
from assay.text.bpe import BpeConfig
from assay.text.byte import ByteConfig
from assay.text.char import CharConfig
from assay.text.tokenizer import Tokenizer, load_tokenizer
from assay.text.word import WordConfig

TEXT = [b"the cat sat on the mat and the cat ate the rat", "größer als der Bär — 熊".encode()] * 20
TOKENIZERS = {
    "byte": ByteConfig().train(TEXT),
    "bpe": BpeConfig(vocabulary=300).train(TEXT),
    "char": CharConfig().train(TEXT),
    "word": WordConfig(vocabulary=270).train(TEXT),
}
NASTY = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"valid \xc3( then \x80\x80 invalid",
    b"\xed\xa0\x80 an encoded surrogate",
    b"\xef\xbb\xbfbyte order mark\r\n",
    b"<|endoftext|>",
    b"[UNK] <s> </s> [PAD]",
    "e\u0301 \u0130 \u2028 \ufeff \U0001f9ea".encode(),
    b"  leading, trailing \n\n ",
]

each = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())


@each
@given(document=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_come_back_exactly(tokenizer: Tokenizer, document: bytes) -> None:
    (ids,) = tokenizer.encode([document])
    assert tokenizer.decode(ids) == document
    assert tokenizer.byte_lengths[ids].sum() == len(document)


@each
def test_nasty_documents_come_back_exactly_in_one_batch(tokenizer: Tokenizer) -> None:
    encoded = tokenizer.encode(NASTY)
    assert [tokenizer.decode(ids) for ids in encoded] == NASTY
    assert {ids.dtype for ids in encoded} == {np.dtype("<u2")}


@each
def test_text_never_becomes_the_end_token(tokenizer: Tokenizer) -> None:
    assert all(tokenizer.end not in ids for ids in tokenizer.encode(NASTY))


@each
def test_the_end_token_is_the_last_id_and_one_newline(tokenizer: Tokenizer) -> None:
    assert tokenizer.end == tokenizer.size - 1
    assert tokenizer.decode([tokenizer.end]) == b"\n"
    assert tokenizer.byte_lengths.shape == (tokenizer.size,)
    assert tokenizer.byte_lengths[tokenizer.end] == 1


@each
def test_a_saved_tokenizer_is_the_same_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    assert loaded.digest == tokenizer.digest
    assert [ids.tolist() for ids in loaded.encode(TEXT)] == [ids.tolist() for ids in tokenizer.encode(TEXT)]


def test_the_test_covers_every_tokenizer() -> None:
    assert set(FAMILIES["tokenizer"].kinds) == set(TOKENIZERS)


def test_bytes_have_257_ids() -> None:
    assert TOKENIZERS["byte"].size == 257
    assert TOKENIZERS["byte"].encode([b"\x00\xff"])[0].tolist() == [0, 255]


def test_bpe_has_the_vocabulary_asked_for_when_the_text_gives_it() -> None:
    words = [f"{left}{right}".encode() for left in "abcdefgh" for right in "stuvwxyz"] * 2
    assert BpeConfig(vocabulary=300).train(words).size == 300
    assert BpeConfig(vocabulary=257).train(words).size == 257


def test_bpe_of_a_small_text_has_no_made_up_tokens() -> None:
    assert BpeConfig(vocabulary=4096).train([b"abab"]).size < 262
    assert BpeConfig(vocabulary=4096).train([]).size == 257


def test_bpe_shortens_the_text_it_was_trained_on() -> None:
    ids = TOKENIZERS["bpe"].encode(TEXT[:1])[0]
    assert len(ids) < len(TEXT[0]) / 2


def test_bpe_training_is_deterministic() -> None:
    assert BpeConfig(vocabulary=290).train(TEXT).digest == BpeConfig(vocabulary=290).train(TEXT).digest


def test_bpe_of_another_text_has_another_digest() -> None:
    assert BpeConfig(vocabulary=290).train([b"other words, other words"]).digest != TOKENIZERS["bpe"].digest


@given(text=st.text(alphabet="ab1'., \n\r\t\u00a0\u2003\u4e2d", max_size=80))
def test_cutting_a_long_text_into_pieces_does_not_change_its_tokens(text: str) -> None:
    document = text.encode()
    (whole,) = TOKENIZERS["bpe"].encode([document])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpe, "PIECE", 3)
        patch.setattr(bpe, "BATCH", 10)
        pieces = list(bpe.pieces(document))
        (cut,) = TOKENIZERS["bpe"].encode([document])
    assert b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces) == document
    assert cut.tolist() == whole.tolist()


def test_a_long_text_is_cut_into_pieces() -> None:
    assert len(list(bpe.pieces(b"some words " * (3 * bpe.PIECE // 10)))) > 2


def test_a_vocabulary_without_room_for_the_bytes_is_refused() -> None:
    with pytest.raises(ConfigError, match="vocabulary"):
        BpeConfig.make({"vocabulary": 256})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "not a tokenizer that Assay saved"),
        ("[1]", "not a tokenizer that Assay saved"),
        (json.dumps({"kind": "bpee"}), "did you mean 'bpe'"),
        (json.dumps({"kind": "bpe", "tokens": ["a"]}), "damaged bpe tokenizer"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(DataError, match=message) as refused:
        load_tokenizer(tmp_path / "tokenizer.json")
    assert str(tmp_path) in str(refused.value)


def test_a_missing_tokenizer_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json cannot be read .* copy tokenizer\.json"):
        load_tokenizer(tmp_path / "none.json")
