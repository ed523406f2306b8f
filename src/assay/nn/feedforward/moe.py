"""Mixtures of experts, in which each token passes K of E feed-forward layers: chosen by a softmax, or by a sigmoid and a balancing bias."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.core.types import Mean
from assay.nn.feedforward.base import DenseFeedforward, Feedforward
from assay.nn.feedforward.mixture import Experts, MixtureConfig, Router, balance_loss, expert_mask, mean_over_rows, routing_entropy
from assay.nn.mixer.base import AuxOutputs

MIN_SCORE_SUM = 1e-20  # of the chosen scores, where all of them underflow


class MoeConfig(MixtureConfig):
    """Each token chooses its K experts by a softmax (Shazeer et al., arXiv 1701.06538; GShard, 2006.16668).

    p = softmax(W_r x);  y = sum over the K largest of w_e FFN_e(x),  w_e = p_e, or p_e / sum of the chosen p with renormalised weights.

    Two losses are reported and enter the total with the weights objective.weights.expert_balance and objective.weights.router_z:
    expert_balance, sum_e f_e P_e (Switch, arXiv 2101.03961, equations 4 to 6; 0.01), 1 where all is even, and router_z, the mean of
    (logsumexp of the logits)^2 (ST-MoE, arXiv 2202.08906, equation 5; 0.001).

    Different from the papers: f and P are of each row, not of the batch, so that the update does not depend on how a batch is cut into
    micro-batches and processes. There is no capacity: no token is dropped, and none depends on others. No noise on the router's input, and
    its weights begin as any others. K = 1 with weights that are not renormalised is Switch; K = 2 with renormalised ones is GShard without
    its random second expert. Padding is routed and counted like text.

    The cost is that of K experts a token. With K = 1 = E and renormalised weights this is the dense layer of one expert.
    """

    kind: Literal["moe"] = "moe"
    renormalise: bool = setting(True, "the weights of a token's experts divided by their sum", alternative=False)

    def model_post_init(self, context: object) -> None:
        self.check_active("raise it or set renormalise=false" if self.renormalise else None)

    def build(self, width: int) -> Feedforward:
        return Moe(self, width)


class Moe(Feedforward):
    """y = sum over the K most probable experts of w_e FFN_e(x)."""

    selects_experts: ClassVar[bool] = True
    aux_loss_weights: ClassVar[Mapping[str, float]] = {"expert_balance": 0.01, "router_z": 0.001}

    def __init__(self, config: MoeConfig, width: int) -> None:
        super().__init__()
        inner = config.inner()
        hidden = config.hidden or inner.default_hidden_size(width, parts=config.active)
        self.active, self.renormalise = config.active, config.renormalise
        self.router = Router(width, config.experts)
        self.experts = Experts(width, hidden, config.experts, config.active, inner)

    def forward(self, x: Tensor) -> tuple[Tensor, AuxOutputs]:
        logits = self.router(x)
        probability = logits.softmax(-1)  # [B, T, E]
        weight, expert = probability.topk(self.active, dim=-1)  # [B, T, K]
        if self.renormalise:
            weight = weight / weight.sum(-1, keepdim=True)
        chosen = expert_mask(expert, logits.shape[-1])
        self.router.count(chosen)
        losses = {
            "expert_balance": balance_loss(probability, chosen, self.active),
            "router_z": mean_over_rows(logits.logsumexp(-1).square().mean(1)),
        }
        return self.experts(x, expert, weight), AuxOutputs(losses, {"router_entropy": routing_entropy(probability)})


class DeepseekMoeConfig(MixtureConfig):
    """Many small experts beside shared ones, balanced without a loss (DeepSeek, arXiv 2401.06066; V3, 2412.19437, section 2.1.2).

    s = sigmoid(W_r x);  the experts of a token are the K largest s_e + b_e;  w_e = scale s_e / sum of the chosen s;
    y = FFN_shared(x) + sum of the chosen w_e FFN_e(x).

    b takes part in the choice alone. After each step b_e <- b_e + rate sign(mean load - load_e), the load being the tokens that the whole
    step sent to e, over all micro-batches and processes. b is a buffer: no gradient, no weight decay, no change in evaluation, saved and
    resumed.

    One loss is reported, sequence_balance: sum_e f_e P_e of each row (V3, equations 17 to 20), 1 where all is even. f_e counts the tokens
    with s_e among their K largest, without b: what b evens out the loss still sees. P_e is the mean over tokens of s_e / sum s. It enters
    the total with objective.weights.sequence_balance, 0.0001 unless given; 0 leaves all balancing to b.

    Settings of V3: 256 experts, 8 active, 1 shared, scale 2.5, rate 0.001 (0 at the very end of training, here the same throughout), the
    first three layers dense, which `pattern` can do. Experts are not confined to groups of devices. The shared experts are one layer of
    their common inner width, which is their sum. V1 chose by a softmax and did not renormalise. Padding is routed and counted like text.
    The cost is that of K experts and the shared ones a token.
    """

    kind: Literal["deepseek_moe"] = "deepseek_moe"
    experts: int = setting(16, "experts E among which tokens choose", alternative=6, affects="cost", ge=1)
    active: int = setting(4, "experts K that each token chooses", alternative=3, affects="cost", ge=1)
    shared: int = setting(1, "experts that every token passes besides", alternative=2, affects="cost", ge=0)
    scale: float = setting(2.5, "factor on the weights of the chosen experts, which sum to 1", alternative=1.0, gt=0)
    rate: float = setting(0.001, "by how much the bias of an expert changes after a step", alternative=3.0, affects="training", ge=0)

    def model_post_init(self, context: object) -> None:
        self.check_active("raise it")

    def build(self, width: int) -> Feedforward:
        return DeepseekMoe(self, width)


class DeepseekMoe(Feedforward):
    """y = FFN_shared(x) + sum over the K chosen experts of w_e FFN_e(x)."""

    selects_experts: ClassVar[bool] = True
    aux_loss_weights: ClassVar[Mapping[str, float]] = {"sequence_balance": 0.0001}

    def __init__(self, config: DeepseekMoeConfig, width: int) -> None:
        super().__init__()
        inner = config.inner()
        hidden = config.hidden or inner.default_hidden_size(width, parts=config.active + config.shared)
        self.active, self.scale = config.active, config.scale
        self.router = BalancingRouter(width, config.experts, config.rate)
        self.experts = Experts(width, hidden, config.experts, config.active, inner)
        self.shared = DenseFeedforward(inner, width, config.shared * hidden, bias=False) if config.shared else None

    def forward(self, x: Tensor) -> tuple[Tensor, AuxOutputs]:
        score = self.router(x).sigmoid()  # [B, T, E]
        expert = (score + self.router.bias).topk(self.active, dim=-1).indices  # [B, T, K]
        weight = score.gather(-1, expert)
        weight = self.scale * weight / weight.sum(-1, keepdim=True).clamp_min(MIN_SCORE_SUM)
        y = self.experts(x, expert, weight)
        if self.shared is not None:
            y = y + self.shared(x)[0]
        probability = score / score.sum(-1, keepdim=True).clamp_min(MIN_SCORE_SUM)
        experts = score.shape[-1]
        self.router.count(expert_mask(expert, experts))
        preferred = expert_mask(score.topk(self.active, dim=-1).indices, experts)  # without the bias
        losses = {"sequence_balance": balance_loss(probability, preferred, self.active)}
        return y, AuxOutputs(losses, {"router_entropy": routing_entropy(probability)})


class BalancingRouter(Router):
    """A router with a bias that each step moves against the load."""

    bias: Tensor

    def __init__(self, width: int, experts: int, rate: float) -> None:
        super().__init__(width, experts)
        self.rate = rate
        self.register_buffer("bias", torch.zeros(experts))

    def after_step(self, counts: Tensor) -> Mapping[str, Mean]:
        self.bias.add_((counts.sum() - len(counts) * counts).sign(), alpha=self.rate)  # whole numbers: equal loads are seen as equal
        return super().after_step(counts)
