"""Attention over H heads: projections in and out, positions, the state, and the settings that all kinds share.

A kind derives from a config and from `Attention`, and says in `attend` which keys a query sees. Queries share key heads in groups where
there are fewer of them (Ainslie et al., arXiv 2305.13245); one key head is multi-query attention (arXiv 1911.02150). QK-norm divides
queries and keys by their root mean square per head before they are rotated (after Henry et al., arXiv 2010.04245, which normalises to unit
length with a learned scale; here the scale is fixed and the gain of the norm absent, as in modern small-model practice).
"""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.dropout import Dropout
from assay.nn.linear import Linear, Multiplier
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs, LayerInputs, Mixer, MixerConfig, check_heads_divide_width
from assay.nn.mixer.softmax_attention import (
    AttentionCall,
    KeyValue,
    apply_positions,
    attend,
    empty_past,
    extend,
    keep_last,
    mask_of_past,
    merge_heads,
)  # fmt: skip
from assay.nn.position.base import PositionMethod, Rotation, rotate


class HeadsConfig(MixerConfig):
    """The settings of queries, keys and values in heads, of a size that the kind decides."""

    heads: int = setting(8, "query heads H", alternative=4, ge=1)
    key_heads: int | None = setting(None, "key and value heads H_k (absent: as many as query heads)", alternative=1, affects="cost", ge=1)
    bias: bool = setting(True, "biases in the projections", alternative=False, affects="cost")
    qk_norm: bool = setting(False, "queries and keys divided by their root mean square", alternative=True)
    dropout: float = setting(0.0, "dropout of the attention weights", alternative=0.5, affects="training", ge=0, lt=1)

    def size_of_head(self, width: int) -> int:
        """Return K."""
        raise TypeError(f"{type(self).__name__} does not define size_of_head")

    def number_of_heads(self) -> int:
        return self.heads

    def check(self, width: int) -> None:
        if self.key_heads is not None and self.heads % self.key_heads:
            raise ConfigError("key_heads", f"{self.key_heads} key heads do not divide the {self.heads} query heads")


class AttentionConfig(HeadsConfig):
    """The settings of queries, keys and values in heads of any size."""

    head_size: int | None = setting(None, "features a head K (absent: width / heads)", alternative=6, affects="cost", ge=1)

    def size_of_head(self, width: int) -> int:
        """Return K: as set, or an equal share of the width."""
        return self.head_size or width // self.heads

    def check(self, width: int) -> None:
        check_heads_divide_width(self.heads, self.head_size, width)
        super().check(width)


class Attention(Mixer):
    """q, k, v = W_q x, W_k x, W_v x in heads; y = W_o concat_h o_h. `linear` makes the four maps. The state is keys and values."""

    position_methods: ClassVar[frozenset[PositionMethod]] = frozenset({"embed", "block_input", "rotation", "bias", "relative"})

    def __init__(self, config: HeadsConfig, width: int, layer: int, linear: Callable[..., Any] = Linear) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.key_heads = config.heads, config.key_heads or config.heads
        self.head_size, self.qk_norm = config.size_of_head(width), config.qk_norm
        query, key = self.heads * self.head_size, self.key_heads * self.head_size
        self.project = linear(width, query + 2 * key, bias=config.bias, parts=(query, key, key))
        self.output = linear(query, width, bias=config.bias, residual=True)
        self.query_scale = Multiplier("queries", self.head_size)
        self.dropout = Dropout(config.dropout)

    def init_state(self, batch: int, like: Tensor) -> State:
        return empty_past(batch, self.key_heads, self.head_size, like)

    def split(self, x: Tensor, inputs: LayerInputs) -> tuple[Tensor, Tensor, Tensor]:
        """Project x [B, T, D] to q [B, H, T, K] and k, v [B, H_k, T, K], normalised and rotated where the settings say so."""
        B, T, _ = x.shape  # noqa: N806
        H, K = self.heads, self.head_size  # noqa: N806
        qkv = self.project(x).view(B, T, H + 2 * self.key_heads, K)
        qk, v = qkv.split((H + self.key_heads, self.key_heads), dim=2)
        q, k = (part.transpose(1, 2) for part in rotate(self.normalise(qk), inputs.rotation).split((H, self.key_heads), dim=2))
        return self.query_scale(q.to(v.dtype)), k.to(v.dtype), v.transpose(1, 2)

    def normalise(self, x: Tensor) -> Tensor:
        """Divide queries or keys [.., K] by their root mean square where the settings say so."""
        return F.rms_norm(x, (self.head_size,), eps=1e-6) if self.qk_norm else x

    def project_heads(self, x: Tensor, first: int, count: int, frozen: bool = False) -> Tensor:
        """Project x [B, S, D] to some of the heads, [B, S, count, K]; `frozen`: without a gradient for the weights."""
        chosen = slice(first * self.head_size, (first + count) * self.head_size)
        weight, bias = self.project.weight[chosen], None if self.project.bias is None else self.project.bias[chosen]
        if frozen:  # a copy of the weights is detached, never they themselves
            weight, bias = weight.detach(), None if bias is None else bias.detach()
        return F.linear(x.to(weight.dtype), weight, bias).view(*x.shape[:2], count, self.head_size)

    def rotation_at(self, position: Tensor, inputs: LayerInputs) -> Rotation | None:
        """Compute the rotation at positions that are not only those of the call."""
        if inputs.rotation is None:
            return None
        return inputs.positional_encoding.rotation(position).to(inputs.rotation.by_head_size[self.head_size][0].dtype)

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        q, k, v = self.split(x, inputs)
        call = self.call(q, extend(state, k, v, inputs), inputs)
        return self.join(self.attend(call)), None if state is None else self.keep(call), NO_AUX_OUTPUTS

    def call(self, q: Tensor, past: KeyValue, inputs: LayerInputs) -> AttentionCall:
        """Put together the queries of a call and all that they may see, for this layer."""
        return AttentionCall(q, past, inputs, self.layer, self.dropout.rate)

    def attend(self, call: AttentionCall) -> Tensor:
        """Compute o = softmax(q k^T / sqrt(K)) v, [B, H, T, K], over the keys that a query sees: all, unless the kind says otherwise."""
        return attend_to_past(call)

    def keep(self, call: AttentionCall) -> KeyValue:
        """Return the keys and values that later calls can see."""
        return call.past if self.reach is None else keep_last(call.past, self.reach)

    def join(self, o: Tensor) -> Tensor:
        """Map the heads to the output, [B, H, T, K] -> [B, T, D]."""
        y: Tensor = self.output(merge_heads(o))
        return y


def attend_to_past(call: AttentionCall, soft_cap: float | None = None) -> Tensor:
    """Attend to the whole past -> o [B, H, T, K]."""
    q, past, inputs, layer, dropout_rate, _ = call
    queries, keys = q.shape[2], past.key.shape[2]
    mask = mask_of_past(queries, keys, inputs, past.document)
    q, bias = apply_positions(q, inputs.position, past.position, inputs, layer, longest=keys, contiguous=True)
    return attend(q, past.key, past.value, mask, bias, dropout_rate, soft_cap)
