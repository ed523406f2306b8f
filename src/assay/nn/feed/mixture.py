"""What mixtures of experts have in common: their settings, the router, and how balance is measured."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.core.config import SerializeAsAny, setting
from assay.core.types import Mean
from assay.errors import ConfigError
from assay.nn.activation import ActivationConfig, SiluConfig
from assay.nn.feed.base import FeedConfig
from assay.nn.feed.inner import Inner
from assay.nn.linear import ExactLinear
from assay.nn.tally import Tallying


class MixtureConfig(FeedConfig):
    """E experts of which each token passes K."""

    experts: int = setting(8, "experts E among which tokens choose", other=6, bites="cost", ge=1)
    active: int = setting(2, "experts K that each token passes", other=3, bites="cost", ge=1)
    hidden: int | None = setting(
        None,
        "inner width F of an expert (absent: those that a token passes have together the parameters of a dense layer)",
        other=40, bites="cost", ge=1,
    )  # fmt: skip
    gated: bool = setting(True, "experts of the form of glu, not of mlp", other=False, bites="cost")
    activation: SerializeAsAny[ActivationConfig] = setting(SiluConfig(), "the function f of an expert", other="gelu")

    def inner(self) -> Inner:
        """What is between an expert's maps."""
        return Inner(self.activation, self.gated)

    def refuse_impossible(self, remedy_of_one: str | None) -> None:
        """Raise ConfigError for more active experts than there are, and, where there is a remedy, for one whose weight says nothing."""
        if self.active > self.experts:
            raise ConfigError(
                "active", f"{self.active} experts a token exceed the {self.experts} that there are; lower it or raise experts"
            )
        if self.active == 1 < self.experts and remedy_of_one is not None:
            raise ConfigError(
                "active", f"1 gives the one expert of a token always the same weight; the router cannot learn; {remedy_of_one}"
            )


class Router(Tallying):
    """One logit for each token and expert, and the load: how many tokens a step sent to each expert."""

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.map = ExactLinear(width, experts, bias=False)
        self.register_buffer("tally", torch.zeros(experts, dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, E] of x [B, T, D], in float32 at least: bfloat16 would make neighbours equal, and choices arbitrary."""
        kind = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(kind), self.map.weight.to(kind))

    def count(self, chosen: Tensor) -> None:
        """Add to the load which experts each token passes, bool [B, T, E]; in training alone."""
        if self.training:
            self.tally.add_(chosen.sum((0, 1)))

    def after_step(self, tally: Tensor) -> Mapping[str, Mean]:
        """The largest and the smallest load, as multiples of an even one, and the number of experts without a token."""
        one = torch.ones((), device=tally.device)
        load = tally * (len(tally) / tally.sum().clamp_min(1))
        found = {"expert_load_max": load.max(), "expert_load_min": load.min(), "dead_experts": (tally == 0).sum().to(load.dtype)}
        return {name: Mean(value, one) for name, value in found.items()}


def mark(expert: Tensor, experts: int) -> Tensor:
    """Bool [B, T, E], true at the experts of each token, of their numbers [B, T, K]."""
    return torch.zeros(*expert.shape[:-1], experts, dtype=torch.bool, device=expert.device).scatter(-1, expert, True)


def balance(probability: Tensor, chosen: Tensor, active: int) -> Mean:
    """sum_e f_e P_e of each row, f_e = E / (K T) times how often the row chose e, P_e its mean probability: 1 where all is even.

    Both are [B, T, E]. Only P has a gradient. The value of a row is the same in any micro-batch.
    """
    frequency = chosen.to(probability.dtype).mean(1) * (chosen.shape[-1] / active)  # [B, E]
    return over_rows((frequency * probability.mean(1)).sum(-1))


def over_rows(value: Tensor) -> Mean:
    """The mean over rows of one value [B] a row."""
    return Mean(value.sum(), value.new_full((), float(len(value))))


def entropy(probability: Tensor) -> Mean:
    """The entropy of the choice of experts, in nats a token, of probabilities [B, T, E]: ln E at most."""
    value = torch.special.entr(probability.detach()).sum(-1)
    return Mean(value.sum(), value.new_full((), float(value.numel())))
