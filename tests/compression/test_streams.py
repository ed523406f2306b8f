"""Streams: every token once, in windows that are the evaluator's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.compression.streams import MIN_STREAM_TOKENS, StreamLayout, choose_layout


@st.composite
def made(draw: st.DrawFn) -> StreamLayout:
    context = draw(st.integers(1, 30))
    return choose_layout(draw(st.integers(0, 300)), context, draw(st.integers(0, context)), mask=False, max_streams=draw(st.integers(1, 9)))


@given(made())
def test_every_token_is_coded_once_and_streams_end_from_the_last_on(layout: StreamLayout) -> None:
    active = [layout.active_count(time) for time in range(layout.steps)]
    assert sum(active) == layout.tokens
    assert active == sorted(active, reverse=True)
    assert all(count >= 1 for count in active)


@given(made())
def test_a_target_sees_what_the_evaluator_shows_it(layout: StreamLayout) -> None:
    begin = 0
    for time in range(layout.steps):
        fresh = layout.context_start(time)
        begin = begin if fresh is None else fresh
        seen = time - begin + 1
        if layout.stride == 0:
            assert seen == time + 1
        else:
            assert min(time + 1, layout.context - layout.stride + 1) <= seen <= layout.context


@given(made())
def test_streams_hold_whole_windows(layout: StreamLayout) -> None:
    assert layout.stride == 0 or layout.stream_length % layout.stride == 0 or layout.tokens == 0


@pytest.mark.parametrize(
    ("tokens", "stride", "count"), [(0, 8, 0), (1, 8, 1), (8, 8, 1), (9, 8, 2), (10**6, 8, 32), (MIN_STREAM_TOKENS * 3, 0, 3)]
)
def test_longer_texts_have_more_streams(tokens: int, stride: int, count: int) -> None:
    assert choose_layout(tokens, 8, stride, mask=False).count == count
