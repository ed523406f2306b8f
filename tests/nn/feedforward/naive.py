"""Mixtures written out token by token, and dense layers with the weights of one expert."""

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.nn.feedforward.base import Feedforward, FeedforwardConfig
from assay.nn.feedforward.mixture import Experts

WIDTH, T = 16, 11
X = torch.randn(3, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def built(config: FeedforwardConfig, seed: int = 0) -> Feedforward:
    """The layer with random weights, ready to train."""
    torch.manual_seed(seed)
    return config.build(WIDTH).double()


def expert_of(experts: Experts, number: int, x: Tensor) -> Tensor:
    """One gated expert's output for x [..., D]."""
    gate, value = experts.expand.weight.split(experts.expand.parts)[2 * number : 2 * number + 2]
    back = experts.contract.weight.split(experts.contract.parts)[number]
    return (F.silu(x @ gate.t()) * (x @ value.t())) @ back.t()


def token_by_token(experts: Experts, x: Tensor, expert: Tensor, weight: Tensor) -> Tensor:
    """sum_k w_nk FFN_e(n,k)(x_n) for x [B, T, D]."""
    y = torch.zeros_like(x)
    for row in range(x.shape[0]):
        for t in range(x.shape[1]):
            for number, share in zip(expert[row, t].tolist(), weight[row, t], strict=True):
                y[row, t] += share * expert_of(experts, number, x[row, t])
    return y


def sent(feedforward: Feedforward, x: Tensor) -> tuple[Tensor, Tensor]:
    """The experts of each token and their weights [B, T, K]."""
    kept: list[tuple[Tensor, Tensor]] = []
    hook = feedforward.experts.register_forward_pre_hook(lambda module, given: kept.append(given[1:]))
    feedforward(x)
    hook.remove()
    ((expert, weight),) = kept
    return expert, weight.detach()


def make_alike(experts: Experts) -> None:
    """Give all experts the weights of the first."""
    with torch.no_grad():
        for linear in (experts.expand, experts.contract):
            each = linear.weight.view(experts.experts, -1, linear.in_features)
            each.copy_(each[:1].expand_as(each))


def copy_first_expert(experts: Experts, dense: Feedforward) -> Feedforward:
    """The dense layer, with the weights of the first expert."""
    with torch.no_grad():
        dense.expand.weight.copy_(experts.expand.weight[: len(dense.expand.weight)])
        dense.contract.weight.copy_(experts.contract.weight[: len(dense.contract.weight)])
    return dense
