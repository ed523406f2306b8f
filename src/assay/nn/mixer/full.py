"""Full causal attention (Vaswani et al., arXiv 1706.03762) with its two economies and its one stabiliser.

o = softmax(q k^T / sqrt(K)) v over the whole past, for H heads. Grouped queries (arXiv 2305.13245) share each key head among H / H_k
query heads; one key head is multi-query attention (arXiv 1911.02150). QK-norm divides queries and keys by their root mean square per
head before they are rotated (after Henry et al., arXiv 2010.04245, which normalises to unit length with a learned scale; here the
scale is fixed and the gain of the norm absent, as in modern small-model practice).
"""

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.dropout import Dropout
from assay.nn.linear import Linear
from assay.nn.mixer.attend import attend, causal_mask
from assay.nn.mixer.base import NOTHING, Accepts, Extras, Mixer, MixerConfig, Where
from assay.nn.mixer.kv import extend, no_past
from assay.nn.position.rope import rotate


class FullConfig(MixerConfig):
    """Softmax attention over the whole past."""

    kind: Literal["full"] = "full"
    heads: int = setting(8, "query heads H", other=4, ge=1)
    key_heads: int | None = setting(None, "key and value heads H_k (absent: as many as query heads)", other=1, bites="cost", ge=1)
    head_size: int | None = setting(None, "features a head K (absent: width / heads)", other=6, bites="cost", ge=1)
    bias: bool = setting(True, "biases in the projections", other=False, bites="cost")
    qk_norm: bool = setting(False, "queries and keys divided by their root mean square", other=True)
    dropout: float = setting(0.0, "dropout of the attention weights", other=0.5, bites="training", ge=0, lt=1)

    def size_of_head(self, width: int) -> int:
        """K: as set, or an equal share of the width."""
        return self.head_size or width // self.heads

    def check(self, width: int) -> None:
        if self.head_size is None and width % self.heads:
            raise ConfigError("heads", f"{self.heads} heads do not divide the width {width}; choose another number or set head_size")
        if self.key_heads is not None and self.heads % self.key_heads:
            raise ConfigError("key_heads", f"{self.key_heads} key heads do not divide the {self.heads} query heads")

    def build(self, width: int) -> Mixer:
        return Full(self, width)


class Full(Mixer):
    """y = W_o concat_h softmax(q_h k_h^T / sqrt(K)) v_h."""

    accepts: ClassVar[frozenset[Accepts]] = frozenset({"embed", "block_input", "rotate", "bias"})

    def __init__(self, config: FullConfig, width: int) -> None:
        super().__init__()
        self.heads, self.key_heads = config.heads, config.key_heads or config.heads
        self.head_size, self.qk_norm = config.size_of_head(width), config.qk_norm
        query, key = self.heads * self.head_size, self.key_heads * self.head_size
        self.project = Linear(width, query + 2 * key, bias=config.bias, parts=(query, key, key))
        self.output = Linear(query, width, bias=config.bias, residual=True)
        self.dropout = Dropout(config.dropout)

    def init_state(self, batch: int, like: Tensor) -> State:
        return no_past(batch, self.key_heads, self.head_size, like)

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        B, T, _ = x.shape  # noqa: N806
        H, K = self.heads, self.head_size  # noqa: N806
        qkv = self.project(x).view(B, T, H + 2 * self.key_heads, K)
        qk, v = qkv.split((H + self.key_heads, self.key_heads), dim=2)
        if self.qk_norm:
            qk = F.rms_norm(qk, (K,), eps=1e-6)
        q, k = (part.transpose(1, 2) for part in rotate(qk, where.rotation).split((H, self.key_heads), dim=2))  # [B, H, T, K]
        q, k, v = q.to(v.dtype), k.to(v.dtype), v.transpose(1, 2)
        drop = self.dropout.p if self.training else 0.0
        if state is not None:
            state = extend(state, k, v, where)
            k, v = state.key, state.value
        mask = self._mask(T, state, where)
        bias = self._bias(state, where)
        y = attend(q, k, v, mask, bias, drop).transpose(1, 2).reshape(B, T, H * K)
        return self.output(y), state, NOTHING

    def _mask(self, queries: int, state: State, where: Where) -> Tensor | None:
        keys = queries if state is None else state.key.shape[2]
        if keys == queries and where.document is None:
            return None
        key_document = where.document if state is None else state.document
        return causal_mask(queries, keys, where.document, key_document, where.position.device)

    def _bias(self, state: State, where: Where) -> Tensor | None:
        if "bias" not in where.encoding.enters:
            return None
        return where.encoding.bias(where.position, where.position if state is None else state.position, self.heads)
