import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.models import cross_entropy as module
from assay.models.cross_entropy import HeadWeights, LossOptions, cross_entropy

G, N, D, V = 3, 11, 8, 19


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TARGET = torch.randint(V, (G, N), generator=torch.Generator().manual_seed(0))
WEIGHT = drawn(G, N, seed=1).abs() * (torch.arange(N) < 9)


def plain(logits: Tensor, target: Tensor, options: LossOptions) -> Tensor:
    """The loss of each target by torch's own functions."""
    smoothed = F.cross_entropy(logits, target, reduction="none", label_smoothing=options.smoothing)
    return smoothed + options.z_loss * logits.logsumexp(-1).square()


@pytest.mark.parametrize("chunk", [1, 4 * V, 1 << 22], ids=["one row", "uneven", "whole"])
@pytest.mark.parametrize(("smoothing", "z_loss", "cap"), [*itertools.product((0.0, 0.2), (0.0, 0.3), (None, 2.0))])
def test_smoothing_and_z_loss_have_the_gradients_of_plain_torch(
    chunk: int, smoothing: float, z_loss: float, cap: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", chunk)
    options, target, weight = LossOptions(smoothing, z_loss), TARGET[0], WEIGHT[0]
    inputs = [drawn(*shape, seed=seed).requires_grad_() for seed, shape in enumerate([(N, D), (V, D), (V,)])]
    hidden, matrix, bias = inputs
    found = cross_entropy(hidden, HeadWeights(matrix, bias, cap), target, weight, options)
    logits = F.linear(hidden, matrix, bias)
    logits = logits if cap is None else cap * torch.tanh(logits / cap)
    expected = (plain(logits, target, options) * weight).sum()
    torch.testing.assert_close(found.total, expected)
    torch.testing.assert_close(found.nll, F.cross_entropy(logits, target, reduction="none"))
    assert (found.uniform is None) == (smoothing == 0)
    assert (found.squared_log_z is None) == (z_loss == 0)
    if found.uniform is not None:
        torch.testing.assert_close(found.uniform, -logits.log_softmax(-1).mean(-1))
    if found.squared_log_z is not None:
        torch.testing.assert_close(found.squared_log_z, logits.logsumexp(-1).square())
    for ours, theirs in zip(torch.autograd.grad(0.3 * found.total, inputs), torch.autograd.grad(0.3 * expected, inputs), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_only_the_total_carries_a_gradient() -> None:
    hidden = drawn(N, D, seed=0).requires_grad_()
    found = cross_entropy(hidden, HeadWeights(drawn(V, D, seed=1)), TARGET[0], WEIGHT[0], LossOptions(0.1, 0.1))
    assert [values.requires_grad for values in found] == [True, False, False, False]


@pytest.mark.parametrize("chunk", [1, 2 * G * V, 1 << 22])
def test_heads_at_once_are_a_loop_over_heads(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", chunk)
    inputs = [drawn(G, N, D, seed=0).requires_grad_(), drawn(G, V, D, seed=1).requires_grad_()]
    hidden, matrix = inputs
    once = cross_entropy(hidden, HeadWeights(matrix), TARGET, WEIGHT)
    each = [cross_entropy(hidden[g], HeadWeights(matrix[g]), TARGET[g], WEIGHT[g]) for g in range(G)]
    total = torch.stack([one.total for one in each]).sum()
    torch.testing.assert_close(once.total, total)
    torch.testing.assert_close(once.nll, torch.stack([one.nll for one in each]))
    for ours, theirs in zip(torch.autograd.grad(once.total, inputs), torch.autograd.grad(total, inputs), strict=True):
        torch.testing.assert_close(ours, theirs)
