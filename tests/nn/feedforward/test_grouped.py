import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from assay.nn.feedforward import grouped
from assay.nn.feedforward.grouped import grouped_linear

SIZES = ([4, 0, 6], [0, 0, 10], [10, 0, 0], [3, 3, 4])


def inputs(sizes: list[int], dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(sum(sizes), 16, generator=generator, dtype=dtype).requires_grad_()
    weight = torch.randn(len(sizes), 8, 16, generator=generator, dtype=dtype).requires_grad_()
    return x, weight, torch.tensor(sizes).cumsum(0).int()


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_each_group_is_multiplied_by_its_matrix(sizes: list[int]) -> None:
    x, weight, ends = inputs(sizes)
    group = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))
    torch.testing.assert_close(grouped_linear(x, weight, ends), (weight[group] @ x.unsqueeze(-1)).squeeze(-1))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_its_gradients_are_those_of_finite_differences(sizes: list[int]) -> None:
    x, weight, ends = inputs(sizes)
    assert torch.autograd.gradcheck(lambda x, weight: grouped_linear(x, weight, ends), (x, weight))


@pytest.mark.skipif(not hasattr(F, "grouped_mm"), reason="this torch has no kernel for groups")
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_kernel_for_all_groups_computes_the_same(sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for one in (False, True):
        monkeypatch.setattr(grouped, "supports_grouped_mm", lambda left, right, one=one: one)
        x, weight, ends = inputs(sizes, torch.float32)
        y = grouped_linear(x, weight, ends)
        y.square().sum().backward()
        results.append((y.detach(), x.grad, weight.grad))
    for separate, together in zip(*results, strict=True):
        torch.testing.assert_close(together, separate)


def test_the_cost_is_that_of_the_rows_whatever_their_groups() -> None:
    counts = []
    for sizes in SIZES:
        x, weight, ends = inputs(sizes)
        with FlopCounterMode(display=False) as counter:
            grouped_linear(x, weight, ends).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts == [3 * 2 * 10 * 8 * 16] * len(SIZES)
