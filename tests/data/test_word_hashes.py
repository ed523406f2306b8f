"""Words and their runs: what regular expressions find, whatever the size of the pieces."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.data import word_hashes as module
from assay.data.word_hashes import DocumentHashes, hash_ngrams, hash_words, powers, split_pieces

PROSE = [
    "In the beginning, GOD created — the heaven's\tearth.",
    "",
    "…!?",
    "naïve Ångström 42nd_street",
    "ДОМ дом\u0301 日本語 東京",
    "a b a b a",
]
DOCUMENTS = [text.encode() for text in PROSE] + [b"broken \xff\xfeword"]


def plain(document: bytes) -> list[str]:
    """The words by a regular expression; Python's \\w is letters, digits, some marks and the underscore."""
    return re.findall(r"(?:[^\W_]|[\u0300-\u036f])+", document.decode("utf-8", "replace").lower())


def hashes(*documents: bytes) -> list[int]:
    return np.concatenate([some.hashes for some in hash_words(documents)] or [np.empty(0, np.uint64)]).tolist()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_equal_words_have_equal_hashes_and_different_words_have_not(document: bytes) -> None:
    assert Counter(Counter(hashes(document)).values()) == Counter(Counter(plain(document)).values())
    assert hashes(document) == [hashes(word.encode())[0] for word in plain(document)]


def test_case_and_punctuation_do_not_count_but_accents_and_order_do() -> None:
    assert hashes("Éa, (b)".encode()) == hashes("éA b".encode())
    assert hashes("é".encode()) != hashes(b"e")
    assert hashes(b"ab") != hashes(b"ba")
    assert len({*hashes(b"a aa aaa b bb ab ba 1 11")}) == 9


def test_words_know_their_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 16)
    numbers = np.concatenate([some.documents for some in hash_words(DOCUMENTS)]).tolist()
    assert numbers == [index for index, document in enumerate(DOCUMENTS) for _ in plain(document)]


@pytest.mark.parametrize("chunk", [1, 8, 1 << 20])
def test_runs_stay_inside_a_document(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    documents = [b"a b c d e", b"f g", b"", b"b c d", b"x a b c"]
    whole = np.concatenate(list(hash_ngrams(hash_words(documents), 3))).tolist()
    assert len(whole) == 3 + 0 + 0 + 1 + 2
    assert whole[1] == whole[3] != whole[0] == whole[5]
    assert len({*whole}) == 4
    monkeypatch.setattr(module, "CHUNK", chunk)
    assert np.concatenate(list(hash_ngrams(hash_words(documents), 3))).tolist() == whole


def test_the_order_of_words_counts_in_a_run() -> None:
    (forth,), (back,) = (np.concatenate(list(hash_ngrams(hash_words([text]), 4))) for text in (b"a b c d", b"b a c d"))
    assert forth != back


@pytest.mark.parametrize("chunk", [1, 8, 1 << 20])
def test_documents_of_the_same_words_have_the_same_key(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    documents = [b"One two, three!", b"one two THREE", b"one three two", b"one two", b"", b"?!", b"one two three one two three"]
    keys = DocumentHashes(len(documents))
    for _ in keys.record(hash_words(documents)):
        pass
    assert keys.counts.tolist() == [3, 3, 3, 2, 0, 0, 6]
    assert keys.hashes[0] == keys.hashes[1]
    assert len({*keys.hashes[[0, 2, 3, 6]].tolist()}) == 4


@given(text=st.text(alphabet="aé熊\U0001f9ea \n", max_size=60))
def test_pieces_are_the_document_and_cut_no_character(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", 9)
        patch.setattr(module, "NEARBY", 3)
        found = list(split_pieces(text.encode()))
    assert b"".join(found) == text.encode()
    assert "".join(piece.decode() for piece in found) == text
    assert max(map(len, found)) <= 9 + 3


def test_powers_are_modulo_two_to_the_64() -> None:
    assert powers(4).tolist() == [pow(int(module.BASE), exponent, 2**64) for exponent in range(4)]
    assert powers(0).tolist() == []
