"""Attention in blocks: queries in blocks of W, each with the keys of a stretch that ends with its block. Blocks are rows of a larger batch.

Where a query sees no further than P positions before its block, the logits are [B n, H, W, P + W] for T = n W positions, so the cost is
O(T (P + W)) instead of O(T^2), and everything that works on attention (masks, biases, dropout) works on blocks.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.nn.mixer.attend import attend, with_positions
from assay.nn.mixer.base import Where
from assay.nn.mixer.kv import KeyValue


def blocks(x: Tensor, size: int, dim: int) -> Tensor:
    """x with `dim` (of n W elements) folded into the first one: [B, .., n W, ..] -> [B n, .., W, ..]."""
    return stretches(x, size, 0, dim)


def stretches(x: Tensor, size: int, before: int, dim: int) -> Tensor:
    """Overlapping pieces along `dim`: [B, .., P + n W, ..] -> [B n, .., P + W, ..], piece b being the elements from b W on."""
    pieces = x.unfold(dim, before + size, size).movedim(dim, 1)  # [B, n, .., P + W]
    return pieces.flatten(0, 1).movedim(-1, dim)


def unblocked(y: Tensor, rows: int, length: int) -> Tensor:
    """[B n, H, W, K] -> [B, H, T, K], T = length."""
    _, heads, size, features = y.shape
    return y.view(rows, -1, heads, size, features).transpose(1, 2).reshape(rows, heads, -1, features)[:, :, :length]


class Call(NamedTuple):
    """The T queries of a call, and the keys and values of P positions before them and of their own, oldest first."""

    q: Tensor  # [B, H, T, K]
    past: KeyValue  # of S >= T positions, at most P + T
    where: Where


def attend_in_blocks(call: Call, size: int, before: int, visible: Tensor, layer: int, drop: float) -> Tensor:
    """[B, H, T, K] where query i of a block sees key c of its stretch, which begins P = `before` earlier, if visible[i, c].

    visible is [W, P + W] and causal. Keys that do not exist are not seen; other documents are not where documents are masked.
    """
    q, past, where = call
    rows, _, length, _ = q.shape
    missing = before + length - past.key.shape[2]  # rows of the first stretch that do not exist
    after = -length % size
    q = blocks(F.pad(q, (0, 0, 0, after)), size, 2)
    k, v = (stretches(F.pad(x, (0, 0, missing, after)), size, before, 2) for x in (past.key, past.value))
    query = blocks(F.pad(where.position, (0, after)), size, 1)  # [1 or B times n, W]
    key = stretches(F.pad(past.position, (missing, after)), size, before, 1)
    q, bias = with_positions(q, query, key, where, layer, longest=before + size)
    if bias is not None and len(bias) not in (1, len(q)):
        bias = bias.repeat(rows, 1, 1, 1)
    mask = visible.unsqueeze(0)  # [1 or n or B n, W, P + W]
    if missing > 0:
        exists = torch.arange(before + length + after, device=q.device) >= missing
        mask = mask & stretches(exists.unsqueeze(0), size, before, 1).unsqueeze(1)
        mask = mask.repeat(rows, 1, 1)
    if where.document is not None and past.document is not None:
        document = blocks(F.pad(where.document, (0, after)), size, 1)
        other = stretches(F.pad(past.document, (missing, after)), size, before, 1)
        mask = mask & (document.unsqueeze(-1) == other.unsqueeze(-2))
    return unblocked(attend(q, k, v, mask.unsqueeze(1) if len(mask) > 1 else mask[0], bias, drop), rows, length)
