"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1; V3, arXiv 2412.19437, section 2.1.1).

    c = RMSNorm(W_dkv x) [R]          k_h = [W_uk,h c | k_r],  k_r = rope(W_kr x), one for all heads          v_h = W_uv,h c
    q_h = [W_q,h z | rope(W_qr,h z)],  z = x, or RMSNorm(W_dq x) [R_q]          logits q_h . k_h / sqrt(K + K_r)

Of each position the state holds c and k_r alone: R + K_r numbers instead of 2 H K. When few queries meet a long past, W_uk and W_uv are
moved to the queries and outputs (the absorbed form): q~_h = W_uk,h^T q_h [R] meets c itself, and W_uv,h maps the mixed c. Both forms give
the same. The form is chosen by its number of multiplications, a function of sizes only.

As in the released code the norm stands on c, not on k_r, and maps have no biases; rotation pairs halves, where theirs pairs neighbours,
so weights are not interchangeable. R is a quarter of the width unless set: V2's rule of 4 K (from memory, not verified) is for 128 heads
and would save nothing at a few.
"""

import math
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.dropout import Dropout
from assay.nn.linear import Linear, Multiplier
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs, LayerInputs, Mixer, MixerConfig, check_heads_divide_width, empty
from assay.nn.mixer.softmax_attention import KeyValue, apply_positions, attend, extend, mask_of_past, merge_heads
from assay.nn.norm import RmsNorm
from assay.nn.position.base import PositionMethod, rotate

NORM_EPS = 1e-6  # the released code's


class LatentConfig(MixerConfig):
    """Attention over the whole past, of which the state holds only a small latent vector a position."""

    kind: Literal["latent"] = "latent"
    heads: int = setting(8, "heads H", alternative=4, ge=1)
    latent: int | None = setting(None, "size of the latent vector R (absent: a quarter of the width)", alternative=12, affects="cost", ge=1)
    query_latent: int | None = setting(None, "size of the queries' latent vector R_q (absent: none)", alternative=12, affects="cost", ge=1)
    head_size: int | None = setting(None, "features a head without position K (absent: width / heads)", alternative=6, affects="cost", ge=1)
    rotary_size: int | None = setting(
        None, "features with position K_r, of one key for all (absent: K / 2)", alternative=4, affects="cost", ge=0
    )
    value_size: int | None = setting(None, "features of a value K_v (absent: K)", alternative=6, affects="cost", ge=1)
    dropout: float = setting(0.0, "dropout of the attention weights", alternative=0.5, affects="training", ge=0, lt=1)

    tiny: ClassVar[dict[str, Any]] = {"heads": 2}

    def size_of_head(self, width: int) -> int | None:
        """K_r, the features that positions rotate; None without any."""
        return self.sizes(width).rotary or None

    def number_of_heads(self) -> int:
        return self.heads

    def sizes(self, width: int) -> "LatentSizes":
        """Work out every size."""
        head = self.head_size or width // self.heads
        rotary = 2 * (head // 4) if self.rotary_size is None else self.rotary_size
        return LatentSizes(self.heads, self.latent or max(1, width // 4), head, rotary, self.value_size or head)

    def check(self, width: int) -> None:
        check_heads_divide_width(self.heads, self.head_size, width)
        if (self.latent or 1) > width:
            raise ConfigError("latent", f"{self.latent} features cannot be a latent of a width of {width}; lower it")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return LatentAttention(self, width, layer)


class LatentSizes(NamedTuple):
    """H, R, K, K_r, K_v."""

    heads: int
    latent: int
    head: int
    rotary: int
    value: int

    def absorbing_is_cheaper(self, queries: int, keys: int) -> bool:
        """Whether the absorbed form takes fewer multiplications a head for T queries that meet S keys."""
        expanded = keys * self.latent * (self.head + self.value) + queries * keys * (self.head + self.rotary + self.value)
        absorbed = queries * self.latent * (self.head + self.value) + queries * keys * (2 * self.latent + self.rotary)
        return absorbed < expanded


class LatentAttention(Mixer):
    """y = W_o concat_h softmax(q_h k_h^T / sqrt(K + K_r)) v_h with k_h and v_h made from c.

    The state is keys k_r [B, 1, S, K_r], rotated where positions rotate, and values c [B, 1, S, R], those of one head.
    """

    position_methods: ClassVar[frozenset[PositionMethod]] = frozenset({"embed", "block_input", "rotation", "bias"})

    def __init__(self, config: LatentConfig, width: int, layer: int) -> None:
        super().__init__()
        self.layer, self.sizes = layer, config.sizes(width)
        H, R, K, rotary, value = self.sizes  # noqa: N806
        query_width = config.query_latent or width
        self.query_down = Linear(width, query_width, bias=False) if config.query_latent else None
        self.query_norm = RmsNorm(query_width, NORM_EPS, learned=True) if config.query_latent else None
        self.query = Linear(query_width, H * (K + rotary), bias=False, parts=(H * K, H * rotary) if rotary else ())
        self.down = Linear(width, R + rotary, bias=False, parts=(R, rotary) if rotary else ())
        self.norm = RmsNorm(R, NORM_EPS, learned=True)
        self.up = Linear(R, H * (K + value), bias=False, parts=(H * K, H * value))
        self.output = Linear(H * value, width, bias=False, residual=True)
        self.query_scale = Multiplier("queries", K + rotary)
        self.dropout = Dropout(config.dropout)

    def init_state(self, batch: int, like: Tensor) -> State:
        key, latent = empty(like, batch, 1, 0, self.sizes.rotary), empty(like, batch, 1, 0, self.sizes.latent)
        return KeyValue(key, latent, empty(like, 1, 0, dtype=torch.int64), None)

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        T = x.shape[1]  # noqa: N806
        q, q_r = self._queries(x, inputs)
        c, k_r = self.down(x).split((self.sizes.latent, self.sizes.rotary), dim=-1)
        k_r = rotate(k_r.unsqueeze(2), inputs.rotation).squeeze(2).to(c.dtype) if self.sizes.rotary else k_r
        past = extend(state, k_r.unsqueeze(1), self.norm(c).to(c.dtype).unsqueeze(1), inputs)
        keys = past.key.shape[2]
        mask = mask_of_past(T, keys, inputs, past.document)
        _, bias = apply_positions(q, inputs.position, past.position, inputs, self.layer, longest=keys)
        absorbing = keys > T and self.sizes.absorbing_is_cheaper(T, keys)
        o = (self._absorbed if absorbing else self._expanded)(q, q_r, past, mask, bias)  # [B, H, T, K_v]
        return self.output(merge_heads(o)), None if state is None else past, NO_AUX_OUTPUTS

    def _queries(self, x: Tensor, inputs: LayerInputs) -> tuple[Tensor, Tensor]:
        """Project the queries, [B, H, T, K] and [B, H, T, K_r], the latter rotated."""
        H, _, K, rotary, _ = self.sizes  # noqa: N806
        z = x if self.query_down is None or self.query_norm is None else self.query_norm(self.query_down(x))
        q, q_r = self.query_scale(self.query(z)).split((H * K, H * rotary), dim=-1)
        q = q.unflatten(-1, (H, K)).transpose(1, 2)
        q_r = q_r.unflatten(-1, (H, rotary)) if rotary else q_r.unsqueeze(2).expand(-1, -1, H, -1)
        return q, (rotate(q_r, inputs.rotation) if rotary else q_r).to(q.dtype).transpose(1, 2)

    def _expanded(self, q: Tensor, q_r: Tensor, past: KeyValue, mask: Tensor | None, bias: Tensor | None) -> Tensor:
        """Attend with the keys and values of all positions."""
        H, _, K, _, value = self.sizes  # noqa: N806
        k, v = self.up(past.value.squeeze(1)).split((H * K, H * value), dim=-1)
        k, v = k.unflatten(-1, (H, K)).transpose(1, 2), v.unflatten(-1, (H, value)).transpose(1, 2)  # [B, H, S, K or K_v]
        shared = past.key.expand(-1, H, -1, -1).to(k.dtype)
        return attend(torch.cat((q, q_r), -1), torch.cat((k, shared), -1), v, mask, bias, self.dropout.rate)

    def _absorbed(self, q: Tensor, q_r: Tensor, past: KeyValue, mask: Tensor | None, bias: Tensor | None) -> Tensor:
        """Attend to the latents themselves: one key head, whose queries are those of all heads, H T of them."""
        H, R, K, rotary, value = self.sizes  # noqa: N806
        up_key, up_value = self.up.weight.split((H * K, H * value))
        q = torch.einsum("bhtk,hkr->bhtr", q, up_key.unflatten(0, (H, K)).to(q.dtype))
        q = torch.cat((q, q_r), -1) * math.sqrt((R + rotary) / (K + rotary))  # attend divides by sqrt(R + K_r)
        latent = past.value.to(q.dtype)
        keys = torch.cat((latent, past.key.to(q.dtype)), -1)  # [B, 1, S, R + K_r]
        T, S = q.shape[2], keys.shape[2]  # noqa: N806
        if mask is not None:
            mask = mask.repeat(*[1] * (mask.ndim - 2), H, 1)  # [.., H T, S]
        if bias is not None:
            bias = bias.expand(-1, H, T, S).reshape(-1, 1, H * T, S)
        o = attend(q.flatten(1, 2).unsqueeze(1), keys, latent, mask, bias, self.dropout.rate)
        o = o.squeeze(1).unflatten(1, (H, T))  # [B, H, T, R]
        return torch.einsum("bhtr,hvr->bhtv", o, up_value.unflatten(0, (H, value)).to(o.dtype))
