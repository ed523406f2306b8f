"""Characters and words as tokens: what has an id of its own, and what is spelt in bytes."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.text import chunks
from assay.text.piece_tokenizers import PIECE, CharConfig, WordConfig
from assay.text.tokenizer import Tokenizer
from assay.text.utf8 import decode_text

TEXT = ["and God said, naïve 日本".encode()] * 2
CHARS, WORDS = CharConfig().train(TEXT), WordConfig(vocabulary=300).train(TEXT)
WORDY = st.text(alphabet="anGod_ 1',. \n\t\x1c\x85\u00a0\u3000ï日語", max_size=60)


def spelt(tokenizer: Tokenizer, text: str) -> list[bytes]:
    return [tokenizer.token_bytes[token] for token in tokenizer.encode([text.encode()])[0].tolist()]


def test_a_character_of_the_training_text_is_one_token_and_any_other_its_bytes() -> None:
    tokenizer = CharConfig().train(["naïve 日本".encode()])
    assert spelt(tokenizer, "aï日語") == [b"a", "ï".encode(), "日".encode(), *(bytes([byte]) for byte in "語".encode())]
    assert tokenizer.vocab_size == 256 + 3 + 1


def test_an_ascii_text_has_the_ids_of_its_bytes() -> None:
    tokenizer = CharConfig().train([b"In the beginning"])
    assert tokenizer.vocab_size == 257
    assert tokenizer.encode([b"begin"])[0].tolist() == list(b"begin")


def test_a_rare_character_is_spelt_in_bytes() -> None:
    assert CharConfig(min_count=2).train(["ïï日".encode()]).vocab_size == 256 + 1 + 1


def test_a_frequent_word_takes_the_space_before_it_along() -> None:
    tokenizer = WordConfig(vocabulary=300).train([b"and God saw, and God said", b"and God made"])
    assert spelt(tokenizer, "and God made") == [b"and", b" God", *(bytes([byte]) for byte in b" made")]
    assert spelt(tokenizer, "God  and") == [*(bytes([byte]) for byte in b"God  "), b"and"]


def test_the_most_frequent_words_have_the_places() -> None:
    tokenizer = WordConfig(vocabulary=258).train([b"one two two three three three"])
    assert tokenizer.token_bytes[256:-1] == [b" three"]


def test_a_word_that_occurs_once_has_no_place() -> None:
    assert WordConfig(vocabulary=300).train([b"alpha beta gamma"]).vocab_size == 257


def test_bytes_that_are_not_utf8_are_never_learnt() -> None:
    text = [b"\xff\xfe \xff\xfe" * 5]
    assert CharConfig().train(text).vocab_size == 257
    assert all(b"\xff" not in spelling for spelling in WordConfig(vocabulary=300).train(text).token_bytes[256:])


def reference(tokenizer: Tokenizer, pieces: Iterable[str]) -> list[int]:
    """One piece after the other."""
    known = {spelling: token for token, spelling in enumerate(tokenizer.token_bytes[: tokenizer.end_id])}
    spellings = (piece.encode("utf-8", "surrogateescape") for piece in pieces)
    return [token for spelling in spellings for token in ([known[spelling]] if spelling in known else spelling)]


@pytest.mark.parametrize(("tokenizer", "cut"), [(CHARS, list), (WORDS, PIECE.findall)], ids=["char", "word"])
@given(documents=st.lists(st.binary(max_size=20) | WORDY.map(str.encode), max_size=5), size=st.sampled_from([3, 20, 1000]))
def test_documents_in_chunks_have_the_ids_of_their_pieces(
    tokenizer: Tokenizer, cut: Callable[[str], list[str]], documents: list[bytes], size: int
) -> None:
    expected = [reference(tokenizer, cut(decode_text(document))) for document in documents]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", size)
        assert [ids.tolist() for ids in tokenizer.encode(documents)] == expected


@given(text=WORDY)
def test_what_is_learnt_does_not_depend_on_chunks(text: str) -> None:
    documents = [text.encode(), b"\xff" + text.encode()]
    whole = [config.train(documents).digest for config in (CharConfig(min_count=2), WordConfig(vocabulary=300))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", 3)
        assert [config.train(documents).digest for config in (CharConfig(min_count=2), WordConfig(vocabulary=300))] == whole


@pytest.mark.parametrize("tokenizer", [CHARS, WORDS], ids=["char", "word"])
@pytest.mark.parametrize("unit", ["a", " ", "中", "\u3000"])
def test_a_word_of_any_length_comes_back_exactly(tokenizer: Tokenizer, unit: str) -> None:
    document = b"God " + unit.encode() * (3 * chunks.MAX_CHUNK // len(unit.encode())) + b" said"
    (ids,) = tokenizer.encode([document])
    assert tokenizer.decode(ids) == document
