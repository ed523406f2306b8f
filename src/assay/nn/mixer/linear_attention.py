"""Linear attention (Katharopoulos et al., arXiv 2006.16236, sections 3.2 to 3.4): attention as sums that run along with the text.

o_i = f(q_i)^T S_i / (f(q_i)^T z_i), S_i = sum_{j <= i} f(k_j) v_j^T, z_i = sum_{j <= i} f(k_j), f(x) = elu(x) + 1, for H heads. The weights
of the v_j are positive and add up to 1, as with softmax, but S [K, K] and z [K] are all that has to be kept of the past.

The sums are taken in chunks of C positions: inside a chunk by a masked C x C product, from chunk to chunk by a cumulative sum of what each
chunk adds, in float32 at least. The cost is O(T (C + K) K) a head; results do not depend on C. (The paper's code goes position by position
in a kernel of its own.) Where documents are masked, what a chunk adds is that of the document in which it ends, and a position reads the
sum before its chunk if the document there is its own; the sums of n = T / C chunks that belong together are a product with an n x n mask,
which adds O(n^2 K^2), still less than the rest at T = C^2 = 4,096.

Rotary positions rotate f(q) and f(k), not q and k, and in the numerator alone, as in RoFormer (arXiv 2104.09864, section 3.3): the
denominator stays positive, weights may become negative and no longer add up to 1. Biases of logits cannot enter: there are no logits.
"""

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.core.config import setting
from assay.core.types import State
from assay.nn.linear import Linear
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs, LayerInputs, Mixer, MixerConfig, check_heads_divide_width
from assay.nn.mixer.softmax_attention import merge_heads
from assay.nn.position.base import PositionMethod, rotate

CHUNK = 64  # positions in a chunk C, at most


class LinearAttentionConfig(MixerConfig):
    """Attention without softmax: the past is a matrix a head, of constant size."""

    kind: Literal["linear"] = "linear"
    heads: int = setting(8, "heads H", alternative=4, ge=1)
    head_size: int | None = setting(None, "features a head K (absent: width / heads)", alternative=6, affects="cost", ge=1)
    bias: bool = setting(True, "biases in the projections", alternative=False, affects="cost")

    def size_of_head(self, width: int) -> int:
        return self.head_size or width // self.heads

    def check(self, width: int) -> None:
        check_heads_divide_width(self.heads, self.head_size, width)

    def build(self, width: int, layer: int = 0) -> Mixer:
        return LinearAttention(self, width)


class LinearAttentionState(NamedTuple):
    """Sums over the past, or over its last document where documents are masked."""

    value: Tensor  # [B, H, K, K] S
    key: Tensor  # [B, H, K, 1] z
    document: Tensor | None  # [B] number of that document


class LinearAttention(Mixer):
    """y = W_o concat_h o_h."""

    position_methods: ClassVar[frozenset[PositionMethod]] = frozenset({"embed", "block_input", "rotation"})
    bounded_state: ClassVar[bool] = True

    def __init__(self, config: LinearAttentionConfig, width: int) -> None:
        super().__init__()
        self.heads, self.head_size = config.heads, config.size_of_head(width)
        inner = self.heads * self.head_size
        self.project = Linear(width, 3 * inner, bias=config.bias, parts=(inner,) * 3)
        self.output = Linear(inner, width, bias=config.bias, residual=True)

    def init_state(self, batch: int, like: Tensor) -> LinearAttentionState:
        K, dtype = self.head_size, torch.promote_types(like.dtype, torch.float32)  # noqa: N806
        value, key = (like.new_zeros(batch, self.heads, K, width, dtype=dtype) for width in (K, 1))
        return LinearAttentionState(value, key, None)

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        B, T, _ = x.shape  # noqa: N806
        qkv = self.project(x).view(B, T, 3 * self.heads, self.head_size)
        qk, v = qkv.split((2 * self.heads, self.heads), dim=2)
        qk = feature_map(qk).to(v.dtype)
        ones = torch.ones_like(v[..., :1])
        past = self.init_state(B, x) if state is None else state
        if inputs.rotation is None:  # numerator and denominator have the same weights
            before = torch.cat((past.value, past.key), dim=-1)
            both, after = causal_sums(qk, torch.cat((v, ones), dim=-1), before, inputs.document, past.document)
            numerator, denominator = both.split((self.head_size, 1), dim=-1)
            value, key = after.split((self.head_size, 1), dim=-1)
        else:
            numerator, value = causal_sums(rotate(qk, inputs.rotation).to(v.dtype), v, past.value, inputs.document, past.document)
            denominator, key = causal_sums(qk, ones, past.key, inputs.document, past.document)
        o = numerator / denominator.clamp_min(torch.finfo(denominator.dtype).tiny)  # [B, H, T, K]
        y = self.output(merge_heads(o))
        last = None if inputs.document is None else inputs.document[:, -1]
        return y, None if state is None else LinearAttentionState(value, key, last), NO_AUX_OUTPUTS


def feature_map(x: Tensor) -> Tensor:
    """Compute elu(x) + 1, in a form that keeps exp(x) far below 0, where elu has rounded it away."""
    above = x.relu()
    return above + (x - above).exp()


def causal_sums(qk: Tensor, v: Tensor, past: Tensor, document: Tensor | None, before: Tensor | None) -> tuple[Tensor, Tensor]:
    """Compute sum_{j <= i} (q_i . k_j) v_j [B, H, T, N] and the sum of k_j v_j^T [B, H, K, N] at the end, which began with `past`.

    qk [B, T, 2 H, K], v [B, T, H, N]. With document [B, T] sums stay in the document; `before` [B] is that of the past.
    """
    length, size = v.shape[1], min(CHUNK, v.shape[1])
    q, k, v = (_chunks(x, size) for x in (*qk.chunk(2, dim=2), v))  # [B, H, n, C, K]
    weights, adding, reading, together = (q @ k.mT).tril(), k, q, None
    if document is not None:
        number = _numbers(document, size)  # [B, 1, n, C]
        end = number[..., -1:]  # [B, 1, n, 1]
        begin = torch.cat((number[:, :, :1, :1] if before is None else before.view(-1, 1, 1, 1), end[:, :, :-1]), dim=2)
        weights = weights * (number.unsqueeze(-1) == number.unsqueeze(-2))
        adding, reading = k * (number == end).unsqueeze(-1), q * (number == begin).unsqueeze(-1)
        ends = torch.cat((begin[:, :, :1], end), dim=2)  # [B, 1, 1 + n, 1], of the past and of each chunk
        together = (ends == ends.mT).tril()
    added = (adding.mT @ v).to(past.dtype)  # [B, H, n, K, N]
    sums = _running(torch.cat((past.unsqueeze(2), added), dim=2), together)
    y = weights @ v + reading @ sums[:, :, :-1].to(q.dtype)
    return y.flatten(2, 3)[:, :, :length], sums[:, :, -1]


def _chunks(x: Tensor, size: int) -> Tensor:
    """Cut positions into chunks, [B, T, H, K] -> [B, H, n, C, K], zeros at the end."""
    x = F.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % size)).transpose(1, 2)
    return x.reshape(*x.shape[:2], -1, size, x.shape[-1])


def _numbers(document: Tensor, size: int) -> Tensor:
    """Cut document numbers into chunks, [B, T] -> [B, 1, n, C], the last document going on to the end."""
    more = document[:, -1:].expand(-1, -document.shape[1] % size)
    return torch.cat((document, more), dim=1).view(len(document), 1, -1, size)


def _running(x: Tensor, together: Tensor | None) -> Tensor:
    """Sum x [B, H, 1 + n, K, N] up to each place; with a mask [B, 1, 1 + n, 1 + n], over the places that belong together."""
    if together is None:
        return x.cumsum(2)
    with torch.autocast(x.device.type, enabled=False):  # which would take the sum in less than float32
        return (together.to(x.dtype) @ x.flatten(3)).view_as(x)
