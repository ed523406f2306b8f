"""Attention with a span that each head learns (Sukhbaatar et al., arXiv 1905.07799).

The weights of head h fade out beyond its span z_h: with x = i - j, the distance, and R the width of the ramp,

    a_ij = m(i - j) exp(s_ij) / sum_j' m(i - j') exp(s_ij')        m(x) = clip((R + z_h - x) / R, 0, 1)

that is, log m is added to the logits; keys with m = 0 are not seen. No key lies S or more positions back, S being the greatest span. The
mean of z over the heads, in positions, is reported as the loss `span` of a layer, and layers add up, so that a head gives up what it does
not use. Its weight is 2e-6 unless objective.weights.span says otherwise: that of the authors' enwik8_small.sh, whose S is 1,024 as here.
Their larger models, with S = 8,192, have 5e-7 (enwik8.sh, enwik8_large.sh, text8.sh, text8_large.sh of facebookresearch/adaptive-span).

Ours differs in two ways. The paper keeps z = S u in range by clipping u after every step and begins at u = 0; here z = S sigmoid(theta),
which needs no clipping and never loses its gradient, and begins at `initial` S. And the paper skips keys beyond the longest learned span;
here shapes do not depend on what was learned (so that calls compile), and the cost is that of a window of S, O(T S), computed in blocks.
What is kept between calls are the last S - 1 positions.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import Mean, State
from assay.nn.mixer.attend import attend
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import Extras, Mixer, Where
from assay.nn.mixer.blocks import Call, distances, in_blocks, size_and_before, unblocked
from assay.nn.mixer.kv import KeyValue, extend, last


class AdaptiveSpanConfig(AttentionConfig):
    """Softmax attention over a window whose width each head learns."""

    kind: Literal["adaptive_span"] = "adaptive_span"
    span: int = setting(1024, "positions that a query may see S, its own among them", other=3, ge=1)
    ramp: int = setting(32, "positions R over which attention fades out", other=2, ge=1)
    initial: float = setting(0.5, "share of S that each head's span is at first", other=0.25, gt=0, lt=1)

    tiny: ClassVar[dict[str, Any]] = {"span": 5, "ramp": 4}

    def build(self, width: int, layer: int = 0) -> Mixer:
        return AdaptiveSpan(self, width, layer)


class AdaptiveSpan(Attention):
    """o_i = sum of a_ij v_j over i - S < j <= i; the state is what is kept of the last S - 1 positions."""

    bounded: ClassVar[bool] = True
    stationary: ClassVar[bool] = True
    reports: ClassVar[Mapping[str, float]] = {"span": 2e-6}  # of enwik8_small.sh; the authors' larger models have 5e-7

    def __init__(self, config: AdaptiveSpanConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.span, self.ramp = config.span, config.ramp
        self.theta = nn.Parameter(torch.full((self.heads,), config.initial).logit())  # [H]

    @property
    def reach(self) -> int:
        return self.span - 1

    @property
    def spans(self) -> Tensor:
        """z [H], in positions."""
        return self.span * self.theta.sigmoid()

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        q, k, v = self.split(x, where)
        past = KeyValue(k, v, where.position, where.document) if state is None else extend(state, k, v, where)
        z, rows = self.spans, len(x)
        o = self._attend(Call(q, past, where), z)
        reported = Mean(z.mean() * rows, torch.full_like(z[0], rows))
        return self.join(o), None if state is None else last(past, self.reach), Extras({"span": reported}, {})

    def _attend(self, call: Call, z: Tensor) -> Tensor:
        size, before = size_and_before(call, self.reach)
        distance = distances(size, before, z.device)  # [W, P + W]
        blocked = in_blocks(call, size, before, (distance >= 0) & (distance < self.span), self.layer)
        fade = log_ramp(z, self.ramp, distance).unsqueeze(0)
        bias = fade if blocked.bias is None else blocked.bias + fade
        return unblocked(attend(*blocked._replace(bias=bias), self.drop), *call.q.shape[0:3:2])


def log_ramp(z: Tensor, ramp: int, distance: Tensor) -> Tensor:
    """log clip((R + z - x) / R, 0, 1), [H, W, S]: minus infinity, and no gradient, where it is log 0."""
    share = ((ramp + z[:, None, None] - distance) / ramp).clamp(max=1)
    return torch.where(share > 0, share, 1).log().masked_fill(share <= 0, -torch.inf)
