import itertools
from typing import get_args

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.core.seeds import Stream, default_stream, derive, numpy_stream, torch_stream

STREAMS: tuple[Stream, ...] = get_args(Stream)


@given(st.integers(0, 2**40), st.sampled_from(STREAMS), st.lists(st.integers(0, 2**40), max_size=3))
def test_a_seed_is_a_pure_function_that_torch_and_numpy_accept(seed: int, stream: Stream, counters: list[int]) -> None:
    derived = derive(seed, stream, *counters)
    assert derived == derive(seed, stream, *counters)
    assert 0 <= derived < 2**63


def test_streams_seeds_and_counters_never_share_a_draw() -> None:
    uses = [(s, name, *c) for s, name, c in itertools.product(range(20), STREAMS, [(), (0,), (1,), (0, 0), (0, 1), (1, 0)])]
    assert len({derive(*use) for use in uses}) == len(uses)


def test_a_seed_is_the_same_in_every_version() -> None:
    assert derive(0, "data") == 5_807_405_673_665_083_786
    assert derive(7, "dropout", 3, 1) == 1_839_342_500_712_792_922


def test_generators_repeat_and_differ_by_stream() -> None:
    assert np.array_equal(numpy_stream(1, "data", 2).integers(1000, size=9), numpy_stream(1, "data", 2).integers(1000, size=9))
    draws = [torch.rand(9, generator=torch_stream(1, stream)) for stream in STREAMS]
    assert torch.equal(draws[0], torch.rand(9, generator=torch_stream(1, STREAMS[0])))
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(draws, 2))


def test_neighbouring_seeds_are_uncorrelated() -> None:
    rows = torch.stack([torch.randn(4000, generator=torch_stream(seed, "init")) for seed in range(8)])
    assert float((torch.corrcoef(rows) - torch.eye(8)).abs().max()) < 0.08


def test_a_default_stream_leaves_the_default_generator_as_it_was() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with default_stream(0, "dropout", 5):
        inside = torch.rand(4)
    assert torch.equal(torch.rand(4), expected)
    with default_stream(0, "dropout", 5):
        assert torch.equal(torch.rand(4), inside)


def test_a_default_stream_is_left_behind_after_an_error() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    try:
        with default_stream(0, "dropout"):
            raise KeyError
    except KeyError:
        pass
    assert torch.equal(torch.get_rng_state(), before)
