"""Full causal attention (Vaswani et al., arXiv 1706.03762), with options that change its logits and values.

o = softmax(q k^T / sqrt(K)) v over the whole past, for H heads. What all attentions share is in `attention.py`.

Soft cap: a logit z becomes s tanh(z / s), so that none exceeds s (Gemma 2, arXiv 2408.00118, section 2, with s = 50). Learned temperature:
a factor on the logits of each head, 1 at first (after Henry et al., arXiv 2010.04245, where one factor serves all heads). Value residual:
every layer but the first mixes in the first one's values, v <- (1 - a) v + a v_1, a learned and 1/2 at first (Zhou et al.,
arXiv 2410.17897; in this form in the records of modded-nanogpt).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import Extras, Mixer, Where


class FullConfig(AttentionConfig):
    """Softmax attention over the whole past."""

    kind: Literal["full"] = "full"
    soft_cap: float | None = setting(None, "s in s tanh(z / s), which bounds the logits (absent: unbounded)", other=0.1, gt=0)
    temperature: bool = setting(False, "a learned factor on the logits of each head", other=True, bites="cost")
    value_residual: bool = setting(False, "the first layer's values are mixed into those of the others", other=True)

    def build(self, width: int, layer: int = 0) -> Mixer:
        return Full(self, width, layer)


class Full(Attention):
    """y = W_o concat_h softmax(q_h k_h^T / sqrt(K)) v_h."""

    def __init__(self, config: FullConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.soft_cap, self.value_residual = config.soft_cap, config.value_residual
        self.temperature = nn.Parameter(torch.ones(self.heads)) if config.temperature else None
        self.share = nn.Parameter(torch.tensor(0.5)) if config.value_residual and layer > 0 else None  # a

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        q, k, v = self.split(x, where)
        if self.temperature is not None:
            q = q * self.temperature.to(q.dtype).view(-1, 1, 1)
        given = v if self.value_residual else None
        if self.share is not None:
            v = torch.lerp(v, self._first(v, where), self.share.to(v.dtype))
        o, state = self.attend_to_past(q, k, v, state, where, self.soft_cap)
        return self.join(o), state, Extras({}, {}, given)

    def _first(self, v: Tensor, where: Where) -> Tensor:
        """The values of the first layer that has any to give, which may be this one. Raises ConfigError where they have another shape."""
        first = v if where.first_value is None else where.first_value
        if first.shape != v.shape:
            raise ConfigError("model.pattern", "mixes values of heads of other number or size into those of another layer; make them equal")
        return first
