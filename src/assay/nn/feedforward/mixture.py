"""Parts of mixtures of experts: their settings, the experts, the router, and the losses that keep it balanced."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import SerializeAsAny, setting
from assay.core.types import Mean
from assay.errors import ConfigError
from assay.nn.activation import ActivationConfig, SiluConfig
from assay.nn.feedforward.base import FeedforwardConfig, InnerActivation
from assay.nn.feedforward.grouped import grouped_linear
from assay.nn.linear import Float32Linear, Linear


class MixtureConfig(FeedforwardConfig):
    """E experts of which each token passes K."""

    experts: int = setting(8, "experts E among which tokens choose", alternative=6, affects="cost", ge=1)
    active: int = setting(2, "experts K that each token passes", alternative=3, affects="cost", ge=1)
    hidden: int | None = setting(
        None, "inner width F of an expert (absent: those of a token are as large as a dense layer)", alternative=40, affects="cost", ge=1
    )
    gated: bool = setting(True, "experts of the form of glu, not of mlp", alternative=False, affects="cost")
    activation: SerializeAsAny[ActivationConfig] = setting(SiluConfig(), "the function f of an expert", alternative="gelu")

    def inner(self) -> InnerActivation:
        """Return the function between an expert's two maps."""
        return InnerActivation(self.activation, self.gated)

    def check_active(self, remedy_for_one: str | None) -> None:
        """Raise ConfigError for more active experts than there are, and, where there is a remedy, for one whose weight says nothing."""
        if self.active > self.experts:
            reason = f"{self.active} experts a token exceed the {self.experts} that there are; lower it or raise experts"
            raise ConfigError("active", reason)
        if self.active == 1 < self.experts and remedy_for_one is not None:
            reason = f"1 gives the one expert of a token always the same weight; the router cannot learn; {remedy_for_one}"
            raise ConfigError("active", reason)


class Experts(nn.Module):
    """E feed-forward layers of one shape, of which each token passes K.

    y_n = sum_k w_nk FFN_e(n,k)(x_n), FFN_e(x) = W_2e f(W_1e x) or W_2e (f(W_ge x) * W_1e x).

    The N K pairs of a token and an expert are put in the order of the experts; each matrix then multiplies one run of rows, and what comes
    out goes back to the order of the tokens. No token is dropped and none is added, so a token's output depends on that token alone, and
    the cost is that of K experts a token. No two rows are added up in an order that could change, so a step can be repeated bit for bit.

    The matrices of all experts lie in one parameter; `parts` tells them apart for the initialisation and for optimisers of whole matrices.
    """

    def __init__(self, width: int, hidden: int, experts: int, active: int, inner: InnerActivation) -> None:
        super().__init__()
        heights = inner.matrix_heights(hidden)
        self.experts, self.active, self.inner = experts, active, inner
        self.expand = Linear(width, experts * sum(heights), bias=False, parts=heights * experts)
        self.contract = Linear(hidden, experts * width, bias=False, parts=(width,) * experts, residual=True)

    @property
    def inactive_parameters(self) -> int:
        """How many parameters a token does not pass."""
        return (self.experts - self.active) * (self.expand.weight.numel() + self.contract.weight.numel()) // self.experts

    def forward(self, x: Tensor, expert: Tensor, weight: Tensor) -> Tensor:
        """Compute y [B, T, D] of x [B, T, D] and of each token's experts and their weights [B, T, K]."""
        dtype = product_dtype(x)
        by_expert, order = expert.flatten().sort(stable=True)  # [N K]
        each = torch.arange(self.experts, device=x.device)
        ends = torch.searchsorted(by_expert, each, right=True, out_int32=True)  # [E]
        rows = x.to(dtype).unsqueeze(-2).expand(*expert.shape, x.shape[-1]).flatten(0, -2).index_select(0, order)  # [N K, D]
        inner = self.inner(grouped_linear(rows, self._matrices(self.expand, dtype), ends))  # [N K, F]
        outputs = grouped_linear(inner.to(dtype), self._matrices(self.contract, dtype), ends)  # [N K, D]
        back = torch.zeros_like(order).scatter(0, order, torch.arange(len(order), device=x.device))
        outputs = outputs.index_select(0, back).view(*expert.shape, -1)  # [B, T, K, D]
        y: Tensor = (outputs * weight.unsqueeze(-1).to(dtype)).sum(-2)
        return y

    def _matrices(self, linear: Linear, dtype: torch.dtype) -> Tensor:
        """Return all experts' matrices, [E, out, in]."""
        return linear.weight.to(dtype).view(self.experts, -1, linear.in_features)


def product_dtype(x: Tensor) -> torch.dtype:
    """Return the number format in which matrices are multiplied: autocast does not reach operations of our own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) and x.dtype != torch.float64 else x.dtype


class Router(nn.Module):
    """One logit for each token and expert, and the load: how many tokens a step sent to each expert.

    In training every forward pass adds to `expert_counts` [E]. The training loop clears it before a forward pass and sums over all
    micro-batches and processes of a step. It is whole numbers, so that the sum is exact in any order, and is not saved: between steps
    there is nothing in it.
    """

    expert_counts: Tensor

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.map = Float32Linear(width, experts, bias=False)
        self.register_buffer("expert_counts", torch.zeros(experts, dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits [B, T, E] of x [B, T, D], in float32 at least: bfloat16 would make neighbours equal, and choices arbitrary."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(dtype), self.map.weight.to(dtype))

    def count(self, chosen: Tensor) -> None:
        """Add the experts that each token passes, bool [B, T, E], to the load; in training alone."""
        if self.training:
            self.expert_counts.add_(chosen.sum((0, 1)))

    def after_step(self, counts: Tensor) -> Mapping[str, Mean]:
        """Compute statistics of the counts of a whole step, after the optimiser's and without gradients; a kind may also change by them.

        They are the largest and the smallest load, as multiples of an even one, and the number of experts without a token.
        """
        count = torch.ones((), device=counts.device)
        load = counts * (len(counts) / counts.sum().clamp_min(1))
        stats = {"expert_load_max": load.max(), "expert_load_min": load.min(), "dead_experts": (counts == 0).sum().to(load.dtype)}
        return {name: Mean(value, count) for name, value in stats.items()}


def expert_mask(expert: Tensor, experts: int) -> Tensor:
    """Make a mask [B, T, E], true at the experts of each token, of their numbers [B, T, K]."""
    return torch.zeros(*expert.shape[:-1], experts, dtype=torch.bool, device=expert.device).scatter(-1, expert, True)


def balance_loss(probability: Tensor, chosen: Tensor, active: int) -> Mean:
    """Compute sum_e f_e P_e of each row, f_e = E / (K T) times how often the row chose e, P_e its mean probability: 1 where all is even.

    Both are [B, T, E]. Only P has a gradient. The value of a row is the same in any micro-batch.
    """
    frequency = chosen.to(probability.dtype).mean(1) * (chosen.shape[-1] / active)  # [B, E]
    return mean_over_rows((frequency * probability.mean(1)).sum(-1))


def mean_over_rows(value: Tensor) -> Mean:
    """Average one value [B] a row over rows."""
    return Mean(value.sum(), value.new_full((), float(len(value))))


def routing_entropy(probability: Tensor) -> Mean:
    """Compute the entropy of the choice of experts, in nats a token, of probabilities [B, T, E]: ln E at most."""
    value = torch.special.entr(probability.detach()).sum(-1)
    return Mean(value.sum(), value.new_full((), float(value.numel())))
