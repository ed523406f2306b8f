"""Lanes: every token once, in windows that are the evaluator's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.compression.lanes import LEAST, Lanes, lanes_for


@st.composite
def made(draw: st.DrawFn) -> Lanes:
    context = draw(st.integers(1, 30))
    return lanes_for(draw(st.integers(0, 300)), context, draw(st.integers(0, context)), mask=False, most=draw(st.integers(1, 9)))


@given(made())
def test_every_token_is_coded_once_and_lanes_end_from_the_last_on(lanes: Lanes) -> None:
    active = [lanes.active(time) for time in range(lanes.steps)]
    assert sum(active) == lanes.tokens
    assert active == sorted(active, reverse=True)
    assert all(count >= 1 for count in active)


@given(made())
def test_a_target_sees_what_the_evaluator_shows_it(lanes: Lanes) -> None:
    begin = 0
    for time in range(lanes.steps):
        fresh = lanes.begin(time)
        begin = begin if fresh is None else fresh
        seen = time - begin + 1
        if lanes.stride == 0:
            assert seen == time + 1
        else:
            assert min(time + 1, lanes.context - lanes.stride + 1) <= seen <= lanes.context


@given(made())
def test_lanes_hold_whole_windows(lanes: Lanes) -> None:
    assert lanes.stride == 0 or lanes.lane % lanes.stride == 0 or lanes.tokens == 0


@pytest.mark.parametrize(("tokens", "stride", "count"), [(0, 8, 0), (1, 8, 1), (8, 8, 1), (9, 8, 2), (10**6, 8, 32), (LEAST * 3, 0, 3)])
def test_longer_texts_have_more_lanes(tokens: int, stride: int, count: int) -> None:
    assert lanes_for(tokens, 8, stride, mask=False).count == count
