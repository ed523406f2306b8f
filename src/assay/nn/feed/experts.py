"""Experts: E feed-forward layers of one shape, of which each token passes K."""

import torch
from torch import Tensor, nn

from assay.nn.feed.grouped import grouped_linear
from assay.nn.feed.inner import Inner
from assay.nn.linear import Linear


class Experts(nn.Module):
    """y_n = sum_k w_nk FFN_e(n,k)(x_n), FFN_e(x) = W_2e f(W_1e x) or W_2e (f(W_ge x) * W_1e x).

    The N K pairs of a token and an expert are put in the order of the experts; each matrix then multiplies one run of rows, and what comes
    out goes back to the order of the tokens. No token is dropped and none is added, so a token's output depends on that token alone, and
    the cost is that of K experts a token. No two rows are added up in an order that could change, so a step can be repeated bit for bit.

    The matrices of all experts lie in one parameter; `parts` tells them apart for the initialisation and for optimisers of whole matrices.
    """

    def __init__(self, width: int, hidden: int, experts: int, active: int, inner: Inner) -> None:
        super().__init__()
        heights = inner.heights(hidden)
        self.experts, self.active, self.inner = experts, active, inner
        self.expand = Linear(width, experts * sum(heights), bias=False, parts=heights * experts)
        self.contract = Linear(hidden, experts * width, bias=False, parts=(width,) * experts, residual=True)

    @property
    def idle(self) -> int:
        """How many parameters a token does not pass."""
        return (self.experts - self.active) * (self.expand.weight.numel() + self.contract.weight.numel()) // self.experts

    def forward(self, x: Tensor, expert: Tensor, weight: Tensor) -> Tensor:
        """y [B, T, D] of x [B, T, D] and of each token's experts and their weights [B, T, K]."""
        kind = _type_of_products(x)
        by_expert, order = expert.flatten().sort(stable=True)  # [N K]
        each = torch.arange(self.experts, device=x.device)
        ends = torch.searchsorted(by_expert, each, right=True, out_int32=True)  # [E]
        rows = x.to(kind).unsqueeze(-2).expand(*expert.shape, x.shape[-1]).flatten(0, -2).index_select(0, order)  # [N K, D]
        inner = self.inner(grouped_linear(rows, self._matrices(self.expand, kind), ends))  # [N K, F]
        made = grouped_linear(inner.to(kind), self._matrices(self.contract, kind), ends)  # [N K, D]
        back = torch.zeros_like(order).scatter(0, order, torch.arange(len(order), device=x.device))
        outputs = made.index_select(0, back).view(*expert.shape, -1)  # [B, T, K, D]
        y: Tensor = (outputs * weight.unsqueeze(-1).to(kind)).sum(-2)
        return y

    def _matrices(self, linear: Linear, kind: torch.dtype) -> Tensor:
        """[E, out, in]"""
        return linear.weight.to(kind).view(self.experts, -1, linear.in_features)


def _type_of_products(x: Tensor) -> torch.dtype:
    """The number format in which matrices are multiplied: autocast does not look into operations of our own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) and x.dtype != torch.float64 else x.dtype
