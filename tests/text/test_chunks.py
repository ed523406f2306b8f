"""Long documents are cut where it changes nothing, and batches come back in their order."""

import re
from collections.abc import Callable, Iterator
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.text import bpe, chunks, piece_tokenizers

BOUNDARIES = {"bpe": bpe.BOUNDARY, "word": piece_tokenizers.WORD_START, "char": piece_tokenizers.CHARACTER}
ANY = st.binary(max_size=80) | st.text(alphabet="ab1, \n\u00a0\u3000中", max_size=60).map(str.encode)

each = pytest.mark.parametrize("boundary", BOUNDARIES.values(), ids=BOUNDARIES.keys())


def cuts(document: bytes, boundary: re.Pattern[bytes], size: int, stretch: int) -> set[int]:
    found, place = set(), 0
    for chunk in chunks.split_chunks(document, boundary, size, stretch):
        place += len(chunk)
        found.add(place)
    return found


@each
@given(document=ANY, size=st.integers(1, 12))
def test_chunks_joined_are_the_document_and_none_is_longer_than_a_stretch(boundary: re.Pattern[bytes], document: bytes, size: int) -> None:
    found = list(chunks.split_chunks(document, boundary, size, 12))
    assert b"".join(found) == document
    assert all(len(chunk) <= 12 for chunk in found)
    assert b"" not in found or found == [b""]


@each
@given(document=ANY, size=st.integers(1, 8), other=st.integers(1, 8))
def test_where_a_stretch_is_cut_does_not_depend_on_the_size(boundary: re.Pattern[bytes], document: bytes, size: int, other: int) -> None:
    free = {found.start() for found in boundary.finditer(document)} | {len(document)}
    assert cuts(document, boundary, size, 8) - free == cuts(document, boundary, other, 8) - free


@each
@given(text=st.text(alphabet="a中\U0001f9ea", max_size=40))
def test_no_character_is_cut(boundary: re.Pattern[bytes], text: str) -> None:
    assert "".join(chunk.decode() for chunk in chunks.split_chunks(text.encode(), boundary, 3, 5)) == text


def words_of_gpt2(text: str) -> list[str]:
    return [text[start:end] for _, (start, end) in bpe.make_library_tokenizer([], []).pre_tokenizer.pre_tokenize_str(text)]


@pytest.mark.parametrize(
    ("boundary", "cut"), [(bpe.BOUNDARY, words_of_gpt2), (piece_tokenizers.WORD_START, piece_tokenizers.PIECE.findall)], ids=["bpe", "word"]
)
@given(text=st.text(alphabet="as1²_'.,!~ \n\r\t\x1c\x85\u00a0\u1680\u2003\u2028\u202f\u205f\u3000ä中\u0301", max_size=40))
def test_a_word_begins_at_every_boundary(boundary: re.Pattern[bytes], cut: Callable[[str], list[str]], text: str) -> None:
    begins = {0, *accumulate(len(piece.encode()) for piece in cut(text))}
    assert {found.start() for found in boundary.finditer(text.encode())} <= begins


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_and_only_a_few_items_are_taken_ahead(threads: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = chunks.map_in_order(lambda number: number * 2, items(), threads)
    assert next(results) == 0
    assert len(taken) <= 2 * threads + 1
    assert [0, *results] == list(range(0, 200, 2))


def test_a_failure_in_a_thread_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(chunks.map_in_order(lambda number: 1 // number, [1, 0, 1], 2))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_items_are_gathered_until_they_are_long_enough(size: int) -> None:
    pieces = [b"a", b"bc", b"", b"def", b"g"]
    batches = list(chunks.gather_batches(pieces, len, size))
    assert [piece for batch in batches for piece in batch] == pieces
    assert all(sum(map(len, batch)) >= size for batch in batches[:-1])
