"""Softmax attention over a causal past: one function for every mixer that needs it."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.nn.dropout import dropout
from assay.nn.mixer.base import Where


def causal_mask(queries: int, keys: int, document: Tensor | None, key_document: Tensor | None, device: torch.device) -> Tensor:
    """[T, S] or [B, 1, T, S] bool: may query t (the last T of S positions) see key s; never another document's."""
    query = torch.arange(keys - queries, keys, device=device).unsqueeze(-1)  # [T, 1]
    mask = query >= torch.arange(keys, device=device)  # [T, S]
    if document is None or key_document is None:
        return mask
    return mask & (document.unsqueeze(-1) == key_document.unsqueeze(-2)).unsqueeze(1)


def with_positions(
    q: Tensor, query: Tensor, key: Tensor, where: Where, layer: int, longest: int, contiguous: bool = False
) -> tuple[Tensor, Tensor | None]:
    """q [B, H, T, K] and the bias of its logits, [1 or B, H, T, S] or None, as positions enter the logits of attention.

    query [1 or B, T] and key [1 or B, S] are positions; no visible key lies `longest` or more of them before its query. `contiguous` says
    that keys are consecutive positions up to the last query's, as far as any query sees them: relative positions are faster then.
    """
    if "relative" in where.encoding.enters:
        return where.encoding.relative(q, query, key, layer, longest, contiguous)
    if "bias" in where.encoding.enters:
        return q, where.encoding.bias(query, key, q.shape[1])
    return q, None


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, drop: float, soft_cap: float | None = None) -> Tensor:
    """softmax(q k^T / sqrt(K) + bias, where mask) v, with q [B, H, T, K], k [B, H_k, S, K], v [B, H_k, S, K_v] -> [B, H, T, K_v].

    `mask=None` means causal with T = S. H is a multiple of H_k: each key head serves H / H_k query heads (Ainslie et al.,
    arXiv 2305.13245). A query that may see nothing gives 0. `drop` is the dropout rate of the attention weights. With `soft_cap` s a
    logit z, bias included, becomes s tanh(z / s).

    In bfloat16 on a CPU the explicit form is faster than the fused one, and dropout takes the fused one off its fast path; which form
    is taken depends on device, type and settings only, so that a run repeats bit for bit.
    """
    bias = None if bias is None else bias.to(q.dtype)
    explicit = q.device.type == "cpu" and (drop > 0 or q.dtype == torch.bfloat16)
    if explicit or soft_cap is not None:
        return _attend_explicitly(q, k, v, mask, bias, drop, soft_cap)
    if bias is not None:
        mask = _as_bias(mask, bias, q.shape[-2], k.shape[-2])
    size, features = q.shape[-1], v.shape[-1]
    if size != features:  # the fused form wants one size; zeros change nothing, and without it T x S weights would be kept
        q, k, v = (F.pad(x, (0, max(size, features) - x.shape[-1])) for x in (q, k, v))
    o = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, dropout_p=drop, scale=1 / math.sqrt(size), enable_gqa=q.shape[1] != k.shape[1]
    )
    return o[..., :features]


def _as_bias(mask: Tensor | None, bias: Tensor, queries: int, keys: int) -> Tensor:
    visible = causal_mask(queries, keys, None, None, bias.device) if mask is None else mask
    return bias.masked_fill(~visible, -math.inf)


def _attend_explicitly(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, drop: float, soft_cap: float | None
) -> Tensor:
    heads, key_heads, keys = q.shape[1], k.shape[1], k.shape[-2]
    if heads != key_heads:
        k, v = (x.repeat_interleave(heads // key_heads, dim=1) for x in (k, v))
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)  # [B, H, T, S]
    if bias is not None:
        scores = scores + bias
    if soft_cap is not None:
        scores = soft_cap * torch.tanh(scores / soft_cap)
    visible = causal_mask(q.shape[-2], keys, None, None, q.device) if mask is None else mask
    # added, not put in place: in bfloat16 that takes a tenth of the time, and gradients pass as they are; half, lest float16 overflows
    hidden = torch.zeros_like(visible, dtype=scores.dtype).masked_fill_(~visible, torch.finfo(scores.dtype).min / 2)
    scores = scores + hidden
    weights = dropout(scores.softmax(-1), drop, training=True)
    return (weights @ v) * visible.any(-1, keepdim=True) if mask is not None else weights @ v
