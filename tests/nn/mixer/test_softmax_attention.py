import itertools
import math

import pytest
import torch
from torch import Tensor

from assay.nn.mixer.softmax_attention import attend, causal_mask

B, H, T, S, K = 2, 4, 5, 9, 8


def drawn(heads: int, length: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(B, heads, length, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def reference(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
    """Loops over everything."""
    y = torch.zeros_like(q)
    mask = mask.expand(B, 1, q.shape[2], k.shape[2]) if mask.ndim == 4 else mask.expand(B, 1, *mask.shape)
    for b, h, t in itertools.product(range(B), range(q.shape[1]), range(q.shape[2])):
        seen = mask[b, 0, t].nonzero().flatten().tolist()
        g = h * k.shape[1] // q.shape[1]
        scores = [float(q[b, h, t] @ k[b, g, s]) / math.sqrt(K) for s in seen]
        if bias is not None:
            scores = [score + float(bias.expand(B, H, -1, -1)[b, h, t, s]) for score, s in zip(scores, seen, strict=True)]
        mass = sum(map(math.exp, scores))
        for score, s in zip(scores, seen, strict=True):
            y[b, h, t] += math.exp(score) / mass * v[b, g, s]
    return y


DOCUMENT = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2], [0, 1, 2, 3, 3, 3, 3, 3, 4]])


def test_a_causal_mask_ends_at_the_query_and_at_its_document() -> None:
    mask = causal_mask(T, S, DOCUMENT[:, -T:], DOCUMENT, torch.device("cpu"))
    assert mask.shape == (B, 1, T, S)
    for b, t, s in itertools.product(range(B), range(T), range(S)):
        query = S - T + t
        assert bool(mask[b, 0, t, s]) == (s <= query and bool(DOCUMENT[b, s] == DOCUMENT[b, query]))
    assert torch.equal(causal_mask(S, S, None, None, torch.device("cpu")), torch.ones(S, S).tril().bool())


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("biased", [False, True])
def test_attention_is_its_definition(key_heads: int, biased: bool) -> None:
    q, k, v = drawn(H, T, 0), drawn(key_heads, S, 1), drawn(key_heads, S, 2)
    bias = torch.randn(1, H, T, S, dtype=torch.float64) if biased else None
    mask = causal_mask(T, S, DOCUMENT[:, -T:], DOCUMENT, q.device)
    torch.testing.assert_close(attend(q, k, v, mask, bias, 0.0), reference(q, k, v, mask, bias))


@pytest.mark.parametrize("biased", [False, True])
def test_no_mask_means_causal(biased: bool) -> None:
    q, k, v = drawn(H, T, 0), drawn(H, T, 1), drawn(H, T, 2)
    bias = torch.randn(1, H, T, T, dtype=torch.float64) if biased else None
    mask = causal_mask(T, T, None, None, q.device)
    torch.testing.assert_close(attend(q, k, v, None, bias, 0.0), reference(q, k, v, mask, bias))


@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("masked", [False, True])
def test_bfloat16_is_near_float64(masked: bool, key_heads: int) -> None:
    q, k, v = (drawn(h, T, seed, torch.bfloat16) for seed, h in enumerate((H, key_heads, key_heads)))
    mask = causal_mask(T, T, None, None, q.device)
    rough = attend(q, k, v, mask if masked else None, None, 0.0)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.double(), reference(q.double(), k.double(), v.double(), mask), atol=0.04, rtol=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("drop", [0.0, 0.3])
@pytest.mark.parametrize("biased", [False, True])
def test_a_query_that_may_see_nothing_gives_zero_and_finite_gradients(dtype: torch.dtype, drop: float, biased: bool) -> None:
    q, k, v = (drawn(H, T, seed, dtype).requires_grad_() for seed in range(3))
    bias = torch.randn(1, H, T, T, dtype=dtype) if biased else None
    mask = causal_mask(T, T, None, None, q.device).clone()
    mask[2] = False
    y = attend(q, k, v, mask, bias, drop)
    assert torch.equal(y[:, :, 2], torch.zeros_like(y[:, :, 2]))
    assert torch.isfinite(y).all()
    y.sum().backward()
    for x in (q, k, v):
        assert torch.isfinite(x.grad).all()


def test_dropout_of_the_weights_keeps_the_mean() -> None:
    q, k = torch.zeros(1, 1, 200, K), torch.zeros(1, 1, 200, K)
    v = torch.ones(1, 1, 200, K)
    y = attend(q, k, v, torch.ones(200, 200).bool(), None, 0.5)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.03)
    assert float(y.std()) > 0.01
