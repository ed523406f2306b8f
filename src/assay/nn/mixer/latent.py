"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1; V3, arXiv 2412.19437, section 2.1.1).

    c = RMSNorm(W_dkv x) [R]          k_h = [W_uk,h c | k_r],  k_r = rope(W_kr x), one for all heads          v_h = W_uv,h c
    q_h = [W_q,h z | rope(W_qr,h z)],  z = x, or RMSNorm(W_dq x) [R_q]          logits q_h . k_h / sqrt(K + K_r)

Kept of a position are c and k_r alone: R + K_r numbers instead of 2 H K. When few queries meet a long past, W_uk and W_uv are moved to the
queries and outputs (the absorbed form): q~_h = W_uk,h^T q_h [R] meets c itself, and W_uv,h maps the mixed c. Both forms give the same.
The form is chosen by its number of multiplications, a function of sizes only.

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
from assay.nn.linear import Linear
from assay.nn.mixer.attend import attend, causal_mask, with_positions
from assay.nn.mixer.base import NOTHING, Accepts, Extras, Mixer, MixerConfig, Where, empty
from assay.nn.multiplier import Multiplier
from assay.nn.norm import RmsNorm
from assay.nn.position.rope import rotate

NORM_EPS = 1e-6  # the released code's


class LatentConfig(MixerConfig):
    """Attention over the whole past, of which only a small latent vector a position is kept."""

    kind: Literal["latent"] = "latent"
    heads: int = setting(8, "heads H", other=4, ge=1)
    latent: int | None = setting(None, "size of the latent vector R (absent: a quarter of the width)", other=12, bites="cost", ge=1)
    query_latent: int | None = setting(None, "size of the latent vector of queries R_q (absent: none)", other=12, bites="cost", ge=1)
    head_size: int | None = setting(None, "features a head without position K (absent: width / heads)", other=6, bites="cost", ge=1)
    rotary_size: int | None = setting(
        None, "features with position K_r, one key for all heads (absent: K / 2)", other=4, bites="cost", ge=0
    )
    value_size: int | None = setting(None, "features of a value K_v (absent: K)", other=6, bites="cost", ge=1)
    dropout: float = setting(0.0, "dropout of the attention weights", other=0.5, bites="training", ge=0, lt=1)

    tiny: ClassVar[dict[str, Any]] = {"heads": 2}

    def size_of_head(self, width: int) -> int | None:
        """K_r, the features that positions rotate; None without any."""
        return self.sizes(width).rotary or None

    def number_of_heads(self) -> int:
        return self.heads

    def sizes(self, width: int) -> "Sizes":
        """Every size, defaults worked out."""
        head = self.head_size or width // self.heads
        rotary = 2 * (head // 4) if self.rotary_size is None else self.rotary_size
        return Sizes(self.heads, self.latent or max(1, width // 4), head, rotary, self.value_size or head)

    def check(self, width: int) -> None:
        if self.head_size is None and width % self.heads:
            raise ConfigError("heads", f"{self.heads} heads do not divide the width {width}; choose another number or set head_size")
        if (self.latent or 1) > width:
            raise ConfigError("latent", f"{self.latent} features cannot be a latent of a width of {width}; lower it")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return Latent(self, width, layer)


class Sizes(NamedTuple):
    """H, R, K, K_r, K_v."""

    heads: int
    latent: int
    head: int
    rotary: int
    value: int

    def absorbing_pays(self, queries: int, keys: int) -> bool:
        """Whether the absorbed form takes fewer multiplications a head for T queries that meet S keys."""
        expanded = keys * self.latent * (self.head + self.value) + queries * keys * (self.head + self.rotary + self.value)
        absorbed = queries * self.latent * (self.head + self.value) + queries * keys * (2 * self.latent + self.rotary)
        return absorbed < expanded


class LatentState(NamedTuple):
    """What is kept of S past positions."""

    latent: Tensor  # [B, S, R], normalised
    key: Tensor  # [B, S, K_r], rotated where positions rotate
    position: Tensor  # [1 or B, S]
    document: Tensor | None  # [B, S]; None where documents are not masked


class Latent(Mixer):
    """y = W_o concat_h softmax(q_h k_h^T / sqrt(K + K_r)) v_h with k_h and v_h made from c."""

    accepts: ClassVar[frozenset[Accepts]] = frozenset({"embed", "block_input", "rotate", "bias"})

    def __init__(self, config: LatentConfig, width: int, layer: int) -> None:
        super().__init__()
        self.layer, self.sizes = layer, config.sizes(width)
        H, R, K, rotary, value = self.sizes  # noqa: N806
        asks = config.query_latent or width
        self.query_down = Linear(width, asks, bias=False) if config.query_latent else None
        self.query_norm = RmsNorm(asks, NORM_EPS, learned=True) if config.query_latent else None
        self.query = Linear(asks, H * (K + rotary), bias=False, parts=(H * K, H * rotary) if rotary else ())
        self.down = Linear(width, R + rotary, bias=False, parts=(R, rotary) if rotary else ())
        self.norm = RmsNorm(R, NORM_EPS, learned=True)
        self.up = Linear(R, H * (K + value), bias=False, parts=(H * K, H * value))
        self.output = Linear(H * value, width, bias=False, residual=True)
        self.query_scale = Multiplier("queries", K + rotary)
        self.dropout = Dropout(config.dropout)

    def init_state(self, batch: int, like: Tensor) -> State:
        kept = empty(like, batch, 0, self.sizes.latent), empty(like, batch, 0, self.sizes.rotary)
        return LatentState(*kept, empty(like, 1, 0, dtype=torch.int64), None)

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        T = x.shape[1]  # noqa: N806
        q, q_r = self._queries(x, where)
        c, k_r = self.down(x).split((self.sizes.latent, self.sizes.rotary), dim=-1)
        k_r = rotate(k_r.unsqueeze(2), where.rotation).squeeze(2).to(c.dtype) if self.sizes.rotary else k_r
        past = LatentState(self.norm(c).to(c.dtype), k_r, where.position, where.document)
        past = past if state is None else _extended(state, past)
        keys = past.latent.shape[1]
        mask = None
        if keys > T or where.document is not None:
            mask = causal_mask(T, keys, where.document, past.document, x.device)
        _, bias = with_positions(q, where.position, past.position, where, self.layer, longest=keys)
        absorbing = keys > T and self.sizes.absorbing_pays(T, keys)
        o = (self._absorbed if absorbing else self._expanded)(q, q_r, past, mask, bias)  # [B, H, T, K_v]
        return self.output(o.transpose(1, 2).flatten(2)), None if state is None else past, NOTHING

    def _queries(self, x: Tensor, where: Where) -> tuple[Tensor, Tensor]:
        """[B, H, T, K] and [B, H, T, K_r], the latter rotated."""
        H, _, K, rotary, _ = self.sizes  # noqa: N806
        z = x if self.query_down is None or self.query_norm is None else self.query_norm(self.query_down(x))
        q, q_r = self.query_scale(self.query(z)).split((H * K, H * rotary), dim=-1)
        q = q.unflatten(-1, (H, K)).transpose(1, 2)
        q_r = q_r.unflatten(-1, (H, rotary)) if rotary else q_r.unsqueeze(2).expand(-1, -1, H, -1)  # nothing cannot be shared out
        return q, (rotate(q_r, where.rotation) if rotary else q_r).to(q.dtype).transpose(1, 2)

    def _expanded(self, q: Tensor, q_r: Tensor, past: LatentState, mask: Tensor | None, bias: Tensor | None) -> Tensor:
        """Keys and values of all positions are made."""
        H, _, K, _, value = self.sizes  # noqa: N806
        k, v = self.up(past.latent).split((H * K, H * value), dim=-1)
        k, v = k.unflatten(-1, (H, K)).transpose(1, 2), v.unflatten(-1, (H, value)).transpose(1, 2)  # [B, H, S, K or K_v]
        shared = past.key.unsqueeze(1).expand(-1, H, -1, -1).to(k.dtype)
        return attend(torch.cat((q, q_r), -1), torch.cat((k, shared), -1), v, mask, bias, self.dropout.p if self.training else 0.0)

    def _absorbed(self, q: Tensor, q_r: Tensor, past: LatentState, mask: Tensor | None, bias: Tensor | None) -> Tensor:
        """Queries meet the latents themselves: one key head, whose queries are those of all heads, H T of them."""
        H, R, K, rotary, value = self.sizes  # noqa: N806
        up_key, up_value = self.up.weight.split((H * K, H * value))
        q = torch.einsum("bhtk,hkr->bhtr", q, up_key.unflatten(0, (H, K)).to(q.dtype))
        asked = torch.cat((q, q_r), -1) * math.sqrt((R + rotary) / (K + rotary))  # attend divides by sqrt(R + K_r)
        latent = past.latent.to(asked.dtype).unsqueeze(1)
        keys = torch.cat((latent, past.key.to(asked.dtype).unsqueeze(1)), -1)  # [B, 1, S, R + K_r]
        T, S = asked.shape[2], keys.shape[2]  # noqa: N806
        if mask is not None:
            mask = mask.repeat(*[1] * (mask.ndim - 2), H, 1)  # [.., H T, S]
        if bias is not None:
            bias = bias.expand(-1, H, T, S).reshape(-1, 1, H * T, S)
        o = attend(asked.flatten(1, 2).unsqueeze(1), keys, latent, mask, bias, self.dropout.p if self.training else 0.0)
        o = o.squeeze(1).unflatten(1, (H, T))  # [B, H, T, R]
        return torch.einsum("bhtr,hvr->bhtv", o, up_value.unflatten(0, (H, value)).to(o.dtype))


def _extended(past: LatentState, new: LatentState) -> LatentState:
    """The past with T more positions; the past itself stays as it is."""
    if past.latent.shape[1] == 0:
        return new
    rows = max(past.position.shape[0], new.position.shape[0])
    position = torch.cat([p.expand(rows, -1) for p in (past.position, new.position)], dim=1)
    document = None if new.document is None or past.document is None else torch.cat([past.document, new.document], dim=1)
    return LatentState(torch.cat([past.latent, new.latent], dim=1), torch.cat([past.key, new.key], dim=1), position, document)
