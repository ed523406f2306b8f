"""DeepSeek's mixture: many small experts beside shared ones, balanced without a loss (arXiv 2401.06066; V3, 2412.19437, section 2.1.2).

s = sigmoid(W_r x);  the experts of a token are the K largest s_e + b_e;  w_e = scale s_e / sum of the chosen s;
y = FFN_shared(x) + sum of the chosen w_e FFN_e(x).

b takes part in the choice alone. After each step b_e <- b_e + rate sign(mean load - load_e), the load being the tokens that the whole step
sent to e, over all micro-batches and processes. b is a buffer: no gradient, no weight decay, no change in evaluation, saved and resumed.

One loss is reported, sequence_balance: sum_e f_e P_e of each row (V3, equations 17 to 20), 1 where all is even. f_e counts the tokens with
s_e among their K largest, without b: what b evens out the loss still sees. P_e is the mean over tokens of s_e / sum s. It enters the total
with objective.weights.sequence_balance, 0.0001 unless given; 0 leaves all balancing to b.

Settings of V3: 256 experts, 8 active, 1 shared, scale 2.5, rate 0.001 (0 at the very end of training, here the same throughout), the first
three layers dense, which `pattern` can do. Experts are not confined to groups of devices. The shared experts are one layer of their common
inner width, which is their sum. V1 chose by a softmax and did not renormalise. Padding is routed and counted
like text. The cost is that of K experts and the shared ones a token.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.core.types import Mean
from assay.nn.feed.base import Feed
from assay.nn.feed.experts import Experts
from assay.nn.feed.inner import Inner
from assay.nn.feed.mixture import MixtureConfig, Router, balance, entropy, mark
from assay.nn.linear import Linear
from assay.nn.mixer.base import Extras

SMALLEST_SUM = 1e-20  # of the chosen scores, where all of them underflow


class DeepseekMoeConfig(MixtureConfig):
    """Small experts chosen by a sigmoid and a balancing bias, beside shared ones."""

    kind: Literal["deepseek_moe"] = "deepseek_moe"
    experts: int = setting(16, "experts E among which tokens choose", other=6, bites="cost", ge=1)
    active: int = setting(4, "experts K that each token chooses", other=3, bites="cost", ge=1)
    shared: int = setting(1, "experts that every token passes besides", other=2, bites="cost", ge=0)
    scale: float = setting(2.5, "factor on the weights of the chosen experts, which sum to 1", other=1.0, gt=0)
    rate: float = setting(0.001, "by how much the bias of an expert changes after a step", other=3.0, bites="training", ge=0)

    def model_post_init(self, context: object) -> None:
        self.refuse_impossible("raise it")

    def build(self, width: int) -> Feed:
        return DeepseekMoe(self, width)


class DeepseekMoe(Feed):
    """y = FFN_shared(x) + sum over the K chosen experts of w_e FFN_e(x)."""

    chooses: ClassVar[bool] = True
    reports: ClassVar[Mapping[str, float]] = {"sequence_balance": 0.0001}

    def __init__(self, config: DeepseekMoeConfig, width: int) -> None:
        super().__init__()
        inner = config.inner()
        hidden = config.hidden or inner.width(width, parts=config.active + config.shared)
        self.active, self.scale = config.active, config.scale
        self.router = BalancingRouter(width, config.experts, config.rate)
        self.experts = Experts(width, hidden, config.experts, config.active, inner)
        self.shared = Shared(width, hidden, config.shared, inner) if config.shared else None

    def forward(self, x: Tensor) -> tuple[Tensor, Extras]:
        score = self.router(x).sigmoid()  # [B, T, E]
        expert = (score + self.router.bias).topk(self.active, dim=-1).indices  # [B, T, K]
        weight = score.gather(-1, expert)
        weight = self.scale * weight / weight.sum(-1, keepdim=True).clamp_min(SMALLEST_SUM)
        y = self.experts(x, expert, weight)
        if self.shared is not None:
            y = y + self.shared(x)
        probability = score / score.sum(-1, keepdim=True).clamp_min(SMALLEST_SUM)
        experts = score.shape[-1]
        self.router.count(mark(expert, experts))
        preferred = mark(score.topk(self.active, dim=-1).indices, experts)  # without the bias
        losses = {"sequence_balance": balance(probability, preferred, self.active)}
        return y, Extras(losses, {"router_entropy": entropy(probability)})


class BalancingRouter(Router):
    """A router with a bias that each step moves against the load."""

    bias: Tensor

    def __init__(self, width: int, experts: int, rate: float) -> None:
        super().__init__(width, experts)
        self.rate = rate
        self.register_buffer("bias", torch.zeros(experts))

    def after_step(self, tally: Tensor) -> Mapping[str, Mean]:
        self.bias.add_((tally.sum() - len(tally) * tally).sign(), alpha=self.rate)  # whole numbers: equal loads are seen as equal
        return super().after_step(tally)


class Shared(torch.nn.Module):
    """The experts that every token passes, as one feed-forward layer: the sum of several is one with all their inner features."""

    def __init__(self, width: int, hidden: int, count: int, inner: Inner) -> None:
        super().__init__()
        heights = inner.heights(hidden * count)
        self.expand = Linear(width, sum(heights), bias=False, parts=heights)
        self.contract = Linear(hidden * count, width, bias=False, residual=True)
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.contract(self.inner(self.expand(x)))
        return y
