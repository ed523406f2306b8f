import itertools
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.core.seeds import RandomStream, derive_seed, numpy_generator, preserve_rng_state, torch_generator

STREAMS: tuple[RandomStream, ...] = get_args(RandomStream)


@given(st.integers(0, 2**40), st.sampled_from(STREAMS), st.lists(st.integers(0, 2**40), max_size=3))
def test_a_seed_is_a_pure_function_that_torch_and_numpy_accept(seed: int, stream: RandomStream, counters: list[int]) -> None:
    derived = derive_seed(seed, stream, *counters)
    assert derived == derive_seed(seed, stream, *counters)
    assert 0 <= derived < 2**63


def test_streams_seeds_and_counters_never_share_a_draw() -> None:
    uses = [(s, name, *c) for s, name, c in itertools.product(range(20), STREAMS, [(), (0,), (1,), (0, 0), (0, 1), (1, 0)])]
    assert len({derive_seed(*use) for use in uses}) == len(uses)


def test_a_seed_is_the_same_in_every_version() -> None:
    assert derive_seed(0, "data") == 5_807_405_673_665_083_786
    assert derive_seed(7, "dropout", 3, 1) == 1_839_342_500_712_792_922


def test_generators_repeat_and_differ_by_stream() -> None:
    assert np.array_equal(numpy_generator(1, "data", 2).integers(1000, size=9), numpy_generator(1, "data", 2).integers(1000, size=9))
    draws = [torch.rand(9, generator=torch_generator(1, stream)) for stream in STREAMS]
    assert torch.equal(draws[0], torch.rand(9, generator=torch_generator(1, STREAMS[0])))
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(draws, 2))


def test_neighbouring_seeds_are_uncorrelated() -> None:
    rows = torch.stack([torch.randn(4000, generator=torch_generator(seed, "init")) for seed in range(8)])
    assert float((torch.corrcoef(rows) - torch.eye(8)).abs().max()) < 0.08


def test_torchs_default_generator_is_restored_also_after_an_error() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with preserve_rng_state():
        torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(TypeError), preserve_rng_state():
        torch.rand("four")
    assert torch.equal(torch.get_rng_state(), before)
