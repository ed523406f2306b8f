"""Attention over the whole past: with options that change its logits and values, in a smaller width, or with factorised maps."""

from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.linear import FactorisedLinear
from assay.nn.mixer.attention import Attention, AttentionConfig, HeadsConfig, attend_to_past
from assay.nn.mixer.base import AuxOutputs, LayerInputs, Mixer
from assay.nn.mixer.softmax_attention import extend


class FullConfig(AttentionConfig):
    """Softmax attention over the whole past: o = softmax(q k^T / sqrt(K)) v for H heads (Vaswani et al., arXiv 1706.03762).

    Soft cap: a logit z becomes s tanh(z / s), so that none exceeds s (Gemma 2, arXiv 2408.00118, section 2, with s = 50). Learned
    temperature: a factor on the logits of each head, 1 at first (after Henry et al., arXiv 2010.04245, where one factor serves all heads).
    Value residual: every layer but the first mixes in the first one's values, v <- (1 - a) v + a v_1, a learned and 1/2 at first (Zhou et
    al., arXiv 2410.17897; in this form in the records of modded-nanogpt).
    """

    kind: Literal["full"] = "full"
    also_called: ClassVar[tuple[str, ...]] = ("attention", "self_attention", "softmax", "mha", "multi_head")
    soft_cap: float | None = setting(None, "s in s tanh(z / s), which bounds the logits (absent: unbounded)", alternative=0.1, gt=0)
    temperature: bool = setting(False, "a learned factor on the logits of each head", alternative=True, affects="cost")
    value_residual: bool = setting(False, "the first layer's values are mixed into those of the others", alternative=True)

    def build(self, width: int, layer: int = 0) -> Mixer:
        return FullAttention(self, width, layer)


class FullAttention(Attention):
    """y = W_o concat_h softmax(q_h k_h^T / sqrt(K)) v_h."""

    def __init__(self, config: FullConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.soft_cap, self.value_residual = config.soft_cap, config.value_residual
        self.temperature = nn.Parameter(torch.ones(self.heads)) if config.temperature else None
        self.share = nn.Parameter(torch.tensor(0.5)) if config.value_residual and layer > 0 else None  # a

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        q, k, v = self.split(x, inputs)
        if self.temperature is not None:
            q = q * self.temperature.to(q.dtype).view(-1, 1, 1)
        own_value = v if self.value_residual else None
        if self.share is not None:
            v = torch.lerp(v, self._first_value(v, inputs), self.share.to(v.dtype))
        call = self.call(q, extend(state, k, v, inputs), inputs)
        o = attend_to_past(call, self.soft_cap)
        return self.join(o), None if state is None else call.past, AuxOutputs({}, {}, own_value)

    def _first_value(self, v: Tensor, inputs: LayerInputs) -> Tensor:
        """Return the values of the first layer that has any, which may be this one. Raises ConfigError where they have another shape."""
        first = v if inputs.first_value is None else inputs.first_value
        if first.shape != v.shape:
            raise ConfigError("model.pattern", "mixes values of heads of other number or size into those of another layer; make them equal")
        return first


class BottleneckConfig(HeadsConfig):
    """Attention in a bottleneck: queries, keys and values of a width R smaller than the model's.

    W_q, W_k, W_v are [R, D] and W_o [D, R], so a layer has 4 D R parameters (and biases) instead of 4 D^2, a cache of 2 R numbers a token
    instead of 2 D, and the logits of each of its H heads a rank of at most R / H. Logits are divided by sqrt(R / H), the size of a head
    here, not of one in the full width.

    This is what one public "sparse attention" of hobby code in fact computes, whose settings `intermediate_dim` and `bottleneck_size` are
    R: nothing in it is sparse. R = D gives full attention. The idea has no paper of its own; the rank of heads is discussed by Bhojanapalli
    et al. (arXiv 2002.07028).
    """

    kind: Literal["bottleneck"] = "bottleneck"
    inner: int = setting(64, "width R of queries, keys and values, all heads together", alternative=24, affects="cost", ge=1)

    tiny: ClassVar[dict[str, Any]] = {"inner": 16}

    def size_of_head(self, width: int) -> int:
        """K = R / H."""
        return self.inner // self.heads

    def check(self, width: int) -> None:
        if self.inner % self.heads:
            raise ConfigError("inner", f"{self.inner} features cannot be shared equally among {self.heads} heads; choose a multiple")
        if self.inner > width:
            raise ConfigError("inner", f"{self.inner} features are no bottleneck of a width of {width}; lower it, or use mixer full")
        super().check(width)

    def build(self, width: int, layer: int = 0) -> Mixer:
        return Attention(self, width, layer)


class LowRankAttentionConfig(AttentionConfig):
    """Attention whose four maps are products of two thin matrices: W = U V, U [D_out, R], V [R, D_in].

    Each of W_q, W_k, W_v and W_o has R (D_in + D_out) parameters; that is fewer than D_in D_out only for R < D_in D_out / (D_in + D_out),
    D / 2 in a square map. Heads keep their size, unlike in mixer `bottleneck`, so the cache and the cost of the logits are those of full
    attention. At the beginning R Var(U) Var(V) = Var(W): the product varies as the unfactorised matrix would.

    Khodak et al. (arXiv 2105.01029) begin from the singular values of a drawn W; here the factors are drawn independently. LoRA
    (arXiv 2106.09685) factorises an update, not the map; Linformer (arXiv 2006.04768) mixes all positions, the future included, and is
    therefore not here.
    """

    kind: Literal["low_rank"] = "low_rank"
    rank: int = setting(32, "inner size R of each projection", alternative=6, affects="cost", ge=1)

    tiny: ClassVar[dict[str, Any]] = {"rank": 8}

    def check(self, width: int) -> None:
        if self.rank > width:
            raise ConfigError("rank", f"{self.rank} exceeds the width {width}, and no map from it has a higher rank; lower it")
        super().check(width)

    def build(self, width: int, layer: int = 0) -> Mixer:
        return Attention(self, width, layer, linear=partial(FactorisedLinear, rank=self.rank))
