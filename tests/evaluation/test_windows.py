"""Windows: every target once, with the context that the protocol states."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assay.evaluation.windows import Windows
from assay.text.store import Part
from support.texts import END, LINES, part_of


def numbered(count: int) -> Part:
    """One document whose token i is i."""
    return Part(np.arange(count), np.array([0, count]), np.array([count]), None, "")


def rows_of(count: int, context: int, stride: int, size: int = 3) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """tokens, scored and index of every window of a numbered text, one row at a time."""
    windows = Windows(numbered(count), -1, context, stride, False)
    batches = list(windows.batches(np.arange(len(windows)), size))
    assert all(piece.documents is None and piece.fresh for piece in batches)
    return [row for piece in batches for row in zip(piece.tokens, piece.scored, piece.place, strict=True)]


@st.composite
def geometry(draw: st.DrawFn) -> tuple[int, int, int]:
    count, context = draw(st.integers(1, 90)), draw(st.integers(1, 40))
    return count, context, draw(st.integers(1, context))


@given(geometry(), st.integers(1, 7))
@example((23, 8, 5), 3)  # not a multiple of the stride
@example((5, 8, 3), 3)  # shorter than a window
@example((20, 6, 1), 3)
@example((20, 6, 6), 3)
@example((6, 40, 40), 3)
def test_every_target_is_scored_exactly_once(shape: tuple[int, int, int], size: int) -> None:
    count, context, stride = shape
    scored = [int(i) for _, mask, index in rows_of(count, context, stride, size) for i in index[mask]]
    assert sorted(scored) == list(range(count))


@given(geometry())
def test_a_scored_target_has_its_past_in_front_of_it_and_itself_as_target(shape: tuple[int, int, int]) -> None:
    for tokens, mask, index in rows_of(*shape):
        for t in np.nonzero(mask)[0]:
            assert tokens[t + 1] == index[t]
            past = tokens[: t + 1]
            assert past.tolist() == list(range(index[t] - t - 1, index[t]))  # -1 is the end token with which the stream begins


@given(geometry())
def test_the_context_of_a_target_is_between_the_two_that_the_protocol_states(shape: tuple[int, int, int]) -> None:
    count, context, stride = shape
    for _, mask, index in rows_of(count, context, stride):
        for t in np.nonzero(mask)[0]:
            assert min(int(index[t]) + 1, context - stride + 1) <= t + 1 <= context


def test_documents_number_each_target_and_the_end_token_closes_its_own() -> None:
    part = part_of(LINES)
    windows = Windows(part, END, 11, 4, True)
    _, scored, documents, index, _ = windows.rows(np.arange(len(windows)))
    belongs = np.repeat(np.arange(part.documents), np.diff(part.offsets))
    assert documents is not None
    assert (documents[scored] == belongs[index[scored]]).all()


@pytest.mark.parametrize("count", [7, 12])
def test_padding_is_the_end_token_and_not_scored(count: int) -> None:
    windows = Windows(numbered(count), -1, 5, 3, False)
    tokens, scored, _, index, _ = windows.rows(np.arange(len(windows)))
    beyond = tokens[:, 1:] != index
    assert not (scored & beyond).any()
    assert (tokens[:, 1:][beyond] == -1).all()
