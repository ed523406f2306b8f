"""A mixture of experts in which each token chooses its K experts by a softmax (Shazeer et al., arXiv 1701.06538; GShard, 2006.16668).

p = softmax(W_r x);  y = sum over the K largest of w_e FFN_e(x),  w_e = p_e, or p_e / sum of the chosen p where weights are renormalised.

Two losses are reported and enter the total with the weights objective.weights.expert_balance and objective.weights.router_z:
expert_balance, sum_e f_e P_e (Switch, arXiv 2101.03961, equations 4 to 6; 0.01), 1 where all is even, and router_z, the mean of
(logsumexp of the logits)^2 (ST-MoE, arXiv 2202.08906, equation 5; 0.001).

Different from the papers: f and P are of each row, not of the batch, so that the update does not depend on how a batch is cut into
micro-batches and processes. There is no capacity: no token is dropped, and none depends on others. No noise on the router's input, and its
weights begin as any others. K = 1 with weights that are not renormalised is Switch; K = 2 with renormalised ones is GShard without its
random second expert. Padding is routed and counted like text.

The cost is that of K experts a token. With K = 1 = E and renormalised weights this is the dense layer of one expert.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor

from assay.core.config import setting
from assay.nn.feed.base import Feed
from assay.nn.feed.experts import Experts
from assay.nn.feed.mixture import MixtureConfig, Router, balance, entropy, mark, over_rows
from assay.nn.mixer.base import Extras


class MoeConfig(MixtureConfig):
    """Experts chosen by the softmax of a router."""

    kind: Literal["moe"] = "moe"
    renormalise: bool = setting(True, "the weights of a token's experts divided by their sum", other=False)

    def model_post_init(self, context: object) -> None:
        self.refuse_impossible("raise it or set renormalise=false" if self.renormalise else None)

    def build(self, width: int) -> Feed:
        return Moe(self, width)


class Moe(Feed):
    """y = sum over the K most probable experts of w_e FFN_e(x)."""

    chooses: ClassVar[bool] = True
    reports: ClassVar[Mapping[str, float]] = {"expert_balance": 0.01, "router_z": 0.001}

    def __init__(self, config: MoeConfig, width: int) -> None:
        super().__init__()
        inner = config.inner()
        hidden = config.hidden or inner.width(width, parts=config.active)
        self.active, self.renormalise = config.active, config.renormalise
        self.router = Router(width, config.experts)
        self.experts = Experts(width, hidden, config.experts, config.active, inner)

    def forward(self, x: Tensor) -> tuple[Tensor, Extras]:
        logits = self.router(x)
        probability = logits.softmax(-1)  # [B, T, E]
        weight, expert = probability.topk(self.active, dim=-1)  # [B, T, K]
        if self.renormalise:
            weight = weight / weight.sum(-1, keepdim=True)
        chosen = mark(expert, logits.shape[-1])
        self.router.count(chosen)
        losses = {
            "expert_balance": balance(probability, chosen, self.active),
            "router_z": over_rows(logits.logsumexp(-1).square().mean(1)),
        }
        return self.experts(x, expert, weight), Extras(losses, {"router_entropy": entropy(probability)})
