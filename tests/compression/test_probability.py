"""Integer probabilities: the same everywhere, close to the softmax, none of them 0."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.compression.probability import PRECISION, quantize_logits, token_ranks, total_bits
from assay.errors import AssayError

TOTAL = 1 << PRECISION


@given(st.integers(0, 99), st.sampled_from([1, 2, 257, 5000]), st.sampled_from([0.0, 0.01, 3.0, 200.0]))
def test_counts_divide_the_whole_range_and_leave_no_token_out(seed: int, vocabulary: int, scale: float) -> None:
    found = quantize_logits(np.random.default_rng(seed).normal(size=(3, vocabulary)) * scale)
    assert (found.sum(-1) == TOTAL).all()
    assert found.min() >= 1


def test_equal_logits_cost_log2_of_the_vocabulary() -> None:
    found = quantize_logits(np.zeros((1, 256)))
    assert (found == TOTAL // 256).all()
    assert total_bits(found[:, 0]) == 8


def test_the_rounding_costs_next_to_nothing() -> None:
    logits = np.random.default_rng(0).normal(size=(200, 2048)) * 3
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    loss = (p * (np.log2(p) - np.log2(quantize_logits(logits) / TOTAL))).sum(-1)  # Kullback-Leibler, bits a token
    assert 0 < loss.mean() < 3e-4


def test_last_digits_of_the_logits_do_not_matter() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 257))
    assert (quantize_logits(logits) == quantize_logits(logits + np.random.default_rng(1).normal(size=logits.shape) * 1e-13)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(AssayError, match="not finite"):
        quantize_logits(np.array([[0.0, bad]]))


def test_ranks_count_the_likelier_tokens_and_each_token_has_its_own() -> None:
    count = np.array([[5, 9, 5, 1]])
    assert [int(token_ranks(count, np.array([token]))[0]) for token in range(4)] == [1, 0, 2, 3]
