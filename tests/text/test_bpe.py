"""Byte pair encoding gives the ids of the library that found its merges, however a text is cut, and whatever it is made of."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ConfigError, DataError
from assay.text import bpe, chunks
from assay.text.bible import BibleConfig
from assay.text.bpe import BpeConfig, BpeTokenizer, byte_alphabet, make_library_tokenizer
from assay.text.tokenizer import load_tokenizer
from assay.text.utf8 import split_invalid_utf8

TEXT = [b"the cat sat on the mat and the cat ate the rat", "größer als der Bär — 熊".encode()] * 20
VERSES = BibleConfig().load(None).documents
WORDY = st.text(alphabet="aAe b1'sl., \n\r\t\x1c\x85\u00a0\u2003\u3000ä\u4e2d\u0301", max_size=80)


def trained(vocabulary: int, documents: Sequence[bytes]) -> BpeTokenizer:
    tokenizer = BpeConfig(vocabulary=vocabulary).train(documents)
    assert isinstance(tokenizer, BpeTokenizer)
    return tokenizer


BIBLE, SMALL = trained(1000, VERSES[:3000]), trained(300, TEXT)


def reference(tokenizer: BpeTokenizer, texts: Sequence[str]) -> list[list[int]]:
    """By the library that found the merges."""
    library = make_library_tokenizer(tokenizer.tokens, tokenizer.merges)
    return [encoding.ids for encoding in library.encode_batch_fast(list(texts), add_special_tokens=False)]


def encoded(tokenizer: BpeTokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [ids.tolist() for ids in tokenizer.encode([text.encode() for text in texts])]


def test_the_bible_has_the_ids_of_the_library() -> None:
    texts = [verse.decode() for verse in VERSES[::5]]
    texts.append("\n".join(texts))
    assert encoded(BIBLE, texts) == reference(BIBLE, texts)


@given(texts=st.lists(st.text(max_size=60) | WORDY, max_size=5))
def test_any_text_has_the_ids_of_the_library(texts: list[str]) -> None:
    assert encoded(SMALL, texts) == reference(SMALL, texts)


@given(texts=st.lists(st.text(alphabet="aab ", min_size=1, max_size=40), min_size=1, max_size=8), size=st.integers(257, 300))
def test_any_vocabulary_gives_the_ids_of_the_library(texts: list[str], size: int) -> None:
    tokenizer = trained(size, [text.encode() for text in texts])
    assert encoded(tokenizer, [*texts, "".join(texts)]) == reference(tokenizer, [*texts, "".join(texts)])


@given(text=WORDY)
def test_cutting_a_long_text_does_not_change_its_ids(text: str) -> None:
    for tokenizer in (SMALL, BIBLE):
        whole = encoded(tokenizer, [text])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "CHUNK", 3)
            assert encoded(tokenizer, [text]) == whole


@given(documents=st.lists(st.binary(max_size=20) | WORDY.map(str.encode), max_size=6))
def test_documents_encoded_together_have_the_ids_they_have_alone(documents: list[bytes]) -> None:
    alone = [SMALL.encode([document])[0].tolist() for document in documents]
    assert [ids.tolist() for ids in SMALL.encode(documents)] == alone


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_ids_do_not_depend_on_the_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [*VERSES[:200], b"", b"\xff", b"\n".join(VERSES[200:400])]
    expected = [ids.tolist() for ids in BIBLE.encode(documents)]
    monkeypatch.setattr(bpe, "cpu_count", lambda: threads)
    monkeypatch.setattr(chunks, "CHUNK", 500)
    assert [ids.tolist() for ids in BIBLE.encode(documents)] == expected


@given(left=st.text(max_size=10), others=st.binary(min_size=1, max_size=5), right=st.text(max_size=10))
def test_bytes_that_are_not_utf8_are_encoded_one_by_one_and_part_the_text(left: str, others: bytes, right: str) -> None:
    others = bytes(byte | 0x80 for byte in others).replace(b"\xc2", b"\xff")
    document = left.encode() + b"\xff" + others + b"\xff" + right.encode()
    runs = [run.encode("utf-8", "surrogateescape") for run in split_invalid_utf8(document)]
    assert b"".join(runs) == document
    pieces = [SMALL.encode([run])[0].tolist() for run in runs]
    assert SMALL.encode([document])[0].tolist() == [token for piece in pieces for token in piece]
    assert all(len(piece) == len(run) for piece, run in zip(pieces[1::2], runs[1::2], strict=True))


def test_the_code_point_that_parts_texts_may_be_in_a_text() -> None:
    texts = ["the cat", bpe.TEXT_SEPARATOR, f"the{bpe.TEXT_SEPARATOR}cat {bpe.TEXT_SEPARATOR * 3} sat", ""]
    assert encoded(SMALL, texts) == reference(SMALL, texts)
    assert all(SMALL.end_id not in ids for ids in encoded(SMALL, texts))


@pytest.mark.parametrize("unit", [b"a", b" ", b"\n", b"\t", b"=", b"7", b"\xff", b"\x80", "中".encode(), "\u3000".encode()])
def test_a_word_of_any_length_comes_back_exactly(unit: bytes) -> None:
    document = b"cat " + unit * (1_100_000 // len(unit)) + b"the cat"
    (ids,) = SMALL.encode([document])
    assert SMALL.decode(ids) == document
    assert SMALL.encode([document])[0].tolist() == ids.tolist()


def test_a_longer_word_than_a_stretch_is_encoded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 4)
    monkeypatch.setattr(chunks, "MAX_CHUNK", 10)
    (ids,) = SMALL.encode([b"on the" + b"cat" * 7])
    parts = [b"on", b" thecatcat", b"catcatcatc", b"atcat"]
    assert ids.tolist() == [token for part in parts for token in SMALL.encode([part])[0].tolist()]


def test_training_on_one_long_word_ends() -> None:
    assert BpeConfig(vocabulary=300).train([b"acgt" * 50_000]).vocab_size > 260


def test_the_vocabulary_does_not_depend_on_how_a_text_is_cut_for_training(monkeypatch: pytest.MonkeyPatch) -> None:
    text = [b"\n".join(VERSES[:300])]
    whole = BpeConfig(vocabulary=400).train(text).digest
    monkeypatch.setattr(bpe, "MAX_TRAINING_WORD", 50)
    assert BpeConfig(vocabulary=400).train(text).digest == whole


BASE = byte_alphabet()
AB = [*BASE, "ab"]


@pytest.mark.parametrize(
    ("tokens", "merges", "message"),
    [
        (BASE[1:], [], "not the 256 bytes"),
        ([*BASE, "ab", "ab"], [["a", "b"], ["a", "b"]], "not the 256 bytes"),
        (AB, [], "not what the merges make"),
        (AB, [["b", "a"]], "not what the merges make"),
        ([*BASE, "abc", "bc"], [["a", "bc"], ["b", "c"]], "come after it"),
        ([*AB, "bc", "abc"], [["a", "b"], ["b", "c"], ["a", "bc"]], "from being made"),
    ],
)
def test_merges_that_training_does_not_give_are_refused(tokens: list[str], merges: list[list[str]], message: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"kind": "bpe", "tokens": tokens, "merges": merges}))
    with pytest.raises(DataError, match=f"damaged bpe tokenizer .*{message}"):
        load_tokenizer(tmp_path / "tokenizer.json")


def test_it_has_the_vocabulary_asked_for_when_the_text_gives_it() -> None:
    words = [f"{left}{right}".encode() for left in "abcdefgh" for right in "stuvwxyz"] * 2
    assert BpeConfig(vocabulary=300).train(words).vocab_size == 300
    assert BpeConfig(vocabulary=257).train(words).vocab_size == 257


def test_it_of_a_small_text_has_no_made_up_tokens() -> None:
    assert BpeConfig(vocabulary=4096).train([b"abab"]).vocab_size < 262
    assert BpeConfig(vocabulary=4096).train([]).vocab_size == 257


def test_bpe_shortens_the_text_it_was_trained_on() -> None:
    ids = SMALL.encode(TEXT[:1])[0]
    assert len(ids) < len(TEXT[0]) / 2


def test_bpe_training_is_deterministic() -> None:
    assert BpeConfig(vocabulary=290).train(TEXT).digest == BpeConfig(vocabulary=290).train(TEXT).digest


def test_it_of_another_text_has_another_digest() -> None:
    assert BpeConfig(vocabulary=290).train([b"other words, other words"]).digest != SMALL.digest


def test_a_vocabulary_without_room_for_the_bytes_is_refused() -> None:
    with pytest.raises(ConfigError, match="vocabulary"):
        BpeConfig.make({"vocabulary": 256})
