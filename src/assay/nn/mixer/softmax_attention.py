"""Softmax attention over a causal past: the keys and values that are kept, which of them a query sees, and the weighted mean of values."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.nn.dropout import dropout
from assay.nn.mixer.base import LayerInputs, empty


class KeyValue(NamedTuple):
    """Keys and values of S past positions, oldest first."""

    key: Tensor  # [B, H_k, S, K], rotated where positions rotate
    value: Tensor  # [B, H_k, S, K]
    position: Tensor  # [1 or B, S]
    document: Tensor | None  # [B, S]; None where documents are not masked

    def slice_positions(self, begin: int, end: int | None = None) -> "KeyValue":
        """Return the keys and values of some of the positions."""
        document = None if self.document is None else self.document[:, begin:end]
        return KeyValue(self.key[:, :, begin:end], self.value[:, :, begin:end], self.position[:, begin:end], document)


class AttentionCall(NamedTuple):
    """The T queries of a call, and the keys and values of P positions before them and of their own, oldest first."""

    q: Tensor  # [B, H, T, K]
    past: KeyValue  # of S >= T positions, at most P + T
    inputs: LayerInputs
    layer: int
    dropout_rate: float  # of the attention weights
    heads: slice = slice(None)  # the query heads that these keys and values are for; the output has no others


def empty_past(batch: int, heads: int, head_size: int, like: Tensor) -> KeyValue:
    """Make the state before position 0. The first call decides whether documents are masked."""
    kv = empty(like, batch, heads, 0, head_size)
    return KeyValue(kv, kv, empty(like, 1, 0, dtype=torch.int64), None)


def keep_last(past: KeyValue, count: int) -> KeyValue:
    """Return the keys and values of the last `count` positions."""
    return past.slice_positions(max(0, past.key.shape[2] - count))


def extend(past: KeyValue | None, key: Tensor, value: Tensor, inputs: LayerInputs) -> KeyValue:
    """Put T more positions behind the past, if there is any; the past itself stays as it is."""
    if past is None or past.key.shape[2] == 0:
        return KeyValue(key, value, inputs.position, inputs.document)
    document = inputs.document
    if document is not None:
        assert past.document is not None, "documents were not masked when this state began"
        document = torch.cat([past.document, document], dim=1)
    position = concatenate_positions([past.position, inputs.position])
    return KeyValue(torch.cat([past.key, key], dim=2), torch.cat([past.value, value], dim=2), position, document)


def concatenate_past(parts: list[KeyValue]) -> KeyValue:
    """Put keys and values of several parts side by side, where documents are not masked."""
    key, value = torch.cat([part.key for part in parts], dim=2), torch.cat([part.value for part in parts], dim=2)
    return KeyValue(key, value, concatenate_positions([part.position for part in parts]), None)


def concatenate_positions(parts: list[Tensor]) -> Tensor:
    """Put positions [1 or B, ..] of several parts side by side."""
    rows = max(len(part) for part in parts)
    return torch.cat([part if len(part) == rows else part.repeat(rows // len(part), 1) for part in parts], dim=1)


def causal_mask(queries: int, keys: int, document: Tensor | None, key_document: Tensor | None, device: torch.device) -> Tensor:
    """Say whether query t (of the last T of S positions) may see key s, [T, S] or [B, 1, T, S] bool; never another document's."""
    query = torch.arange(keys - queries, keys, device=device).unsqueeze(-1)  # [T, 1]
    mask = query >= torch.arange(keys, device=device)  # [T, S]
    if document is None or key_document is None:
        return mask
    return mask & (document.unsqueeze(-1) == key_document.unsqueeze(-2)).unsqueeze(1)


def mask_of_past(queries: int, keys: int, inputs: LayerInputs, key_document: Tensor | None) -> Tensor | None:
    """Make the causal mask of T queries and S keys; None where `attend` needs none, as the call is all of its past and one document."""
    if keys == queries and inputs.document is None:
        return None
    return causal_mask(queries, keys, inputs.document, key_document, inputs.position.device)


def apply_positions(
    q: Tensor, query: Tensor, key: Tensor, inputs: LayerInputs, layer: int, longest: int, contiguous: bool = False
) -> tuple[Tensor, Tensor | None]:
    """q [B, H, T, K] and the bias of its logits, [1 or B, H, T, S] or None, as positions enter the logits of attention.

    query [1 or B, T] and key [1 or B, S] are positions; no visible key lies `longest` or more of them before its query. `contiguous` says
    that keys are consecutive positions up to the last query's, as far as any query sees them: relative positions are faster then.
    """
    if "relative" in inputs.positional_encoding.methods:
        return inputs.positional_encoding.relative(q, query, key, layer, longest, contiguous)
    if "bias" in inputs.positional_encoding.methods:
        return q, inputs.positional_encoding.bias(query, key, q.shape[1])
    return q, None


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, dropout_rate: float, soft_cap: float | None = None
) -> Tensor:
    """softmax(q k^T / sqrt(K) + bias, where mask) v, with q [B, H, T, K], k [B, H_k, S, K], v [B, H_k, S, K_v] -> [B, H, T, K_v].

    `mask=None` means causal with T = S. H is a multiple of H_k: each key head serves H / H_k query heads (Ainslie et al.,
    arXiv 2305.13245). A query that may see nothing gives 0. `dropout_rate` is that of the attention weights. With `soft_cap` s a logit z,
    bias included, becomes s tanh(z / s).

    In bfloat16 on a CPU the explicit form is faster than the fused one, and dropout takes the fused one off its fast path; which form
    is taken depends on device, type and settings only, so that a run repeats bit for bit.
    """
    bias = None if bias is None else bias.to(q.dtype)
    explicit = q.device.type == "cpu" and (dropout_rate > 0 or q.dtype == torch.bfloat16)
    if explicit or soft_cap is not None:
        return _attend_explicitly(q, k, v, mask, bias, dropout_rate, soft_cap)
    if bias is not None:
        mask = bias.masked_fill(~_visible(q, k, mask), -math.inf)
    size, features = q.shape[-1], v.shape[-1]
    if size != features:  # the fused form wants one size; zeros change nothing, and without it T x S weights would be kept
        q, k, v = (F.pad(x, (0, max(size, features) - x.shape[-1])) for x in (q, k, v))
    grouped, scale = q.shape[1] != k.shape[1], 1 / math.sqrt(size)
    o = F.scaled_dot_product_attention(q, k, v, mask, dropout_rate, is_causal=mask is None, scale=scale, enable_gqa=grouped)
    return o[..., :features]


def _attend_explicitly(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, dropout_rate: float, soft_cap: float | None
) -> Tensor:
    scores = attention_logits(q, k, bias)
    if soft_cap is not None:
        scores = soft_cap * torch.tanh(scores / soft_cap)
    visible = _visible(q, k, mask)
    # added, not put in place: in bfloat16 that takes a tenth of the time, and gradients pass as they are; half, lest float16 overflows
    hidden = torch.zeros_like(visible, dtype=scores.dtype).masked_fill_(~visible, torch.finfo(scores.dtype).min / 2)
    o = dropout((scores + hidden).softmax(-1), dropout_rate, training=True) @ repeat_heads(v, q.shape[1])
    return o * visible.any(-1, keepdim=True) if mask is not None else o


def _visible(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    return causal_mask(q.shape[-2], k.shape[-2], None, None, q.device) if mask is None else mask


def attention_logits(q: Tensor, k: Tensor, bias: Tensor | None) -> Tensor:
    """Compute q k^T / sqrt(K) + bias, [B, H, T, S], of q [B, H, T, K] and k [B, H_k, S, K]."""
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ repeat_heads(k, q.shape[1]).transpose(-1, -2)
    return scores if bias is None else scores + bias


def repeat_heads(x: Tensor, heads: int) -> Tensor:
    """Repeat keys or values [B, H_k, S, K] for the H query heads that share them."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], dim=1)


def merge_heads(o: Tensor) -> Tensor:
    """Put the heads side by side, [B, H, T, K] -> [B, T, H K]."""
    return o.transpose(1, 2).flatten(2)
