"""What every attention over H heads of one kind is made of: projections in, projections out, positions, and their settings.

A kind derives from both classes and says in its own forward pass which keys a query sees. Queries share key heads in groups where there
are fewer of them (Ainslie et al., arXiv 2305.13245); one key head is multi-query attention (arXiv 1911.02150). QK-norm divides queries and
keys by their root mean square per head before they are rotated (after Henry et al., arXiv 2010.04245, which normalises to unit length
with a learned scale; here the scale is fixed and the gain of the norm absent, as in modern small-model practice).
"""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.dropout import Dropout
from assay.nn.linear import Linear
from assay.nn.mixer.attend import attend, causal_mask, with_positions
from assay.nn.mixer.base import Accepts, Mixer, MixerConfig, Where
from assay.nn.mixer.kv import KeyValue, extend, no_past
from assay.nn.multiplier import Multiplier
from assay.nn.position.rope import rotate


class HeadsConfig(MixerConfig):
    """The settings of queries, keys and values in heads, of a size that the kind decides."""

    heads: int = setting(8, "query heads H", other=4, ge=1)
    key_heads: int | None = setting(None, "key and value heads H_k (absent: as many as query heads)", other=1, bites="cost", ge=1)
    bias: bool = setting(True, "biases in the projections", other=False, bites="cost")
    qk_norm: bool = setting(False, "queries and keys divided by their root mean square", other=True)
    dropout: float = setting(0.0, "dropout of the attention weights", other=0.5, bites="training", ge=0, lt=1)

    def size_of_head(self, width: int) -> int:
        """K."""
        raise TypeError(f"{type(self).__name__} does not define size_of_head")

    def number_of_heads(self) -> int:
        return self.heads

    def check(self, width: int) -> None:
        if self.key_heads is not None and self.heads % self.key_heads:
            raise ConfigError("key_heads", f"{self.key_heads} key heads do not divide the {self.heads} query heads")


class AttentionConfig(HeadsConfig):
    """The settings of queries, keys and values in heads of any size."""

    head_size: int | None = setting(None, "features a head K (absent: width / heads)", other=6, bites="cost", ge=1)

    def size_of_head(self, width: int) -> int:
        """K: as set, or an equal share of the width."""
        return self.head_size or width // self.heads

    def check(self, width: int) -> None:
        if self.head_size is None and width % self.heads:
            raise ConfigError("heads", f"{self.heads} heads do not divide the width {width}; choose another number or set head_size")
        super().check(width)


class Attention(Mixer):
    """q, k, v = W_q x, W_k x, W_v x in heads; y = W_o concat_h o_h. The kind makes o of q, k and v, `linear` the four maps."""

    accepts: ClassVar[frozenset[Accepts]] = frozenset({"embed", "block_input", "rotate", "bias", "relative"})

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

    @property
    def drop(self) -> float:
        """The dropout rate of the attention weights now."""
        return self.dropout.p if self.training else 0.0

    def init_state(self, batch: int, like: Tensor) -> State:
        return no_past(batch, self.key_heads, self.head_size, like)

    def split(self, x: Tensor, where: Where) -> tuple[Tensor, Tensor, Tensor]:
        """[B, T, D] -> q [B, H, T, K] and k, v [B, H_k, T, K], normalised and rotated as is due."""
        B, T, _ = x.shape  # noqa: N806
        H, K = self.heads, self.head_size  # noqa: N806
        qkv = self.project(x).view(B, T, H + 2 * self.key_heads, K)
        qk, v = qkv.split((H + self.key_heads, self.key_heads), dim=2)
        if self.qk_norm:
            qk = F.rms_norm(qk, (K,), eps=1e-6)
        q, k = (part.transpose(1, 2) for part in rotate(qk, where.rotation).split((H, self.key_heads), dim=2))
        return self.query_scale(q.to(v.dtype)), k.to(v.dtype), v.transpose(1, 2)

    def attend_to_past(
        self, q: Tensor, k: Tensor, v: Tensor, state: State, where: Where, soft_cap: float | None = None
    ) -> tuple[Tensor, State]:
        """o [B, H, T, K] of attention to the whole past, and the state with these keys and values."""
        past = KeyValue(k, v, where.position, where.document) if state is None else extend(state, k, v, where)
        queries, keys = q.shape[2], past.key.shape[2]
        mask = None
        if keys > queries or where.document is not None:
            mask = causal_mask(queries, keys, where.document, past.document, q.device)
        q, bias = with_positions(q, where.position, past.position, where, self.layer, longest=keys, contiguous=True)
        return attend(q, past.key, past.value, mask, bias, self.drop, soft_cap), None if state is None else past

    def join(self, o: Tensor) -> Tensor:
        """[B, H, T, K] -> [B, T, D]."""
        y: Tensor = self.output(o.transpose(1, 2).flatten(2))
        return y
