"""Tokenizers are lossless for any bytes, account for every byte, and come back from their file."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.config import FAMILIES
from assay.errors import DataError
from assay.text import tokenizer as module
from assay.text.bpe import BpeConfig
from assay.text.piece_tokenizers import ByteConfig, CharConfig, WordConfig
from assay.text.tokenizer import Tokenizer, load_tokenizer

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
    assert all(tokenizer.end_id not in ids for ids in tokenizer.encode(NASTY))


@each
def test_the_end_token_is_the_last_id_and_one_newline(tokenizer: Tokenizer) -> None:
    assert tokenizer.end_id == tokenizer.vocab_size - 1
    assert tokenizer.decode([tokenizer.end_id]) == b"\n"
    assert tokenizer.byte_lengths.shape == (tokenizer.vocab_size,)
    assert tokenizer.byte_lengths[tokenizer.end_id] == 1


@each
def test_a_saved_tokenizer_is_the_same_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    assert loaded.digest == tokenizer.digest
    assert [ids.tolist() for ids in loaded.encode(TEXT)] == [ids.tolist() for ids in tokenizer.encode(TEXT)]


@each
@given(data=st.data())
def test_decoding_an_array_gives_the_spellings_in_turn(tokenizer: Tokenizer, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, tokenizer.end_id), max_size=40)) * data.draw(st.sampled_from([1, 9]))
    spelt = b"".join(tokenizer.token_bytes[token] for token in ids)
    assert tokenizer.decode(ids) == tokenizer.decode(np.array(ids, tokenizer.dtype)) == spelt
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEW", 0)
        patch.setattr(module, "DECODED", 3)
        assert tokenizer.decode(np.array(ids, np.int64)) == spelt


@each
def test_the_file_has_the_bytes_of_each_id(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    assert json.loads((tmp_path / "tokenizer.json").read_text())["byte_lengths"] == tokenizer.byte_lengths.tolist()


@each
def test_a_file_without_the_bytes_of_each_id_is_the_same_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer.to_dict()))
    assert load_tokenizer(tmp_path / "tokenizer.json").digest == tokenizer.digest


@each
def test_a_file_whose_bytes_are_not_those_of_its_tokens_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tree = {**tokenizer.to_dict(), "byte_lengths": [*tokenizer.byte_lengths[:-1].tolist(), 2]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tree))
    with pytest.raises(DataError, match=rf"damaged {tree['kind']} tokenizer .*copy tokenizer\.json"):
        load_tokenizer(tmp_path / "tokenizer.json")


def test_the_test_covers_every_tokenizer() -> None:
    assert set(FAMILIES["tokenizer"].kinds) == set(TOKENIZERS)


def test_bytes_have_257_ids() -> None:
    assert TOKENIZERS["byte"].vocab_size == 257
    assert TOKENIZERS["byte"].encode([b"\x00\xff"])[0].tolist() == [0, 255]


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
