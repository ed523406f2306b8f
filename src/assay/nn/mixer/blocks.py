"""Attention in blocks: queries in blocks of W, each with the keys of a stretch that ends with its block. Blocks are rows of a larger batch.

Where a query sees no further than P positions before its block, the logits are [B n, H, W, P + W] for T = n W positions, so the cost is
O(T (P + W)) instead of O(T^2), and everything that works on attention (masks, biases, dropout) works on blocks.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.nn.mixer.attend import attend, with_positions
from assay.nn.mixer.base import Where
from assay.nn.mixer.kv import KeyValue

BLOCK = 128  # queries in a block, at most: more of them see more keys in vain
Rule = Callable[[Tensor, Tensor], Tensor]  # positions of queries [.., W, 1] and of keys [.., 1, S] -> [.., W, S] bool


def blocks(x: Tensor, size: int, dim: int) -> Tensor:
    """x with `dim` (of n W elements) folded into the first one: [B, .., n W, ..] -> [B n, .., W, ..]."""
    return stretches(x, size, 0, dim)


def stretches(x: Tensor, size: int, before: int, dim: int) -> Tensor:
    """Overlapping pieces along `dim`: [B, .., P + n W, ..] -> [B n, .., P + W, ..], piece b being the elements from b W on."""
    pieces = x.unfold(dim, before + size, size).movedim((dim, -1), (1, dim + 1))  # [B, n, .., P + W, ..]
    return pieces.flatten(0, 1)  # one copy, whose last axis stays the last, as the fused attention of CPUs asks for


def unblocked(y: Tensor, rows: int, length: int) -> Tensor:
    """[B n, H, W, K] -> [B, H, T, K], T = length."""
    _, heads, size, features = y.shape
    return y.view(rows, -1, heads, size, features).transpose(1, 2).reshape(rows, heads, -1, features)[:, :, :length]


class Call(NamedTuple):
    """The T queries of a call, and the keys and values of P positions before them and of their own, oldest first."""

    q: Tensor  # [B, H, T, K]
    past: KeyValue  # of S >= T positions, at most P + T
    where: Where
    heads: slice = slice(None)  # the query heads that these keys and values are for; the output has no others


class Blocked(NamedTuple):
    """What attention takes, of N = B n blocks. A mask without the axis N is that of all blocks."""

    q: Tensor  # [N, H, W, K]
    key: Tensor  # [N, H_k, P + W, K]
    value: Tensor  # [N, H_k, P + W, K]
    mask: Tensor  # [W, P + W] or [N, 1, W, P + W]
    bias: Tensor | None  # [1 or N, H, W, P + W]


def size_and_before(call: Call, reach: int) -> tuple[int, int]:
    """W and P for queries that see `reach` positions back, at most: one block of a short call and its whole past, else many."""
    queries, keys = call.q.shape[2], call.past.key.shape[2]
    return (queries, keys - queries) if queries <= min(reach, BLOCK) else (min(reach + 1, BLOCK), reach)


def distances(size: int, before: int, device: torch.device) -> Tensor:
    """[W, P + W]: how far before query i of a block key c of its stretch lies; negative: after it."""
    return torch.arange(before, before + size, device=device).unsqueeze(-1) - torch.arange(before + size, device=device)


def in_blocks(call: Call, size: int, before: int, visible: Tensor | Rule, layer: int) -> Blocked:
    """The call in blocks of W = `size`, each with a stretch of keys that begins P = `before` earlier.

    `visible`, [W, P + W] or a rule on positions, says which keys of its stretch a query sees, none after it. Keys that do not exist are
    not seen; other documents are not where documents are masked.
    """
    q, past, where, heads = call
    length = q.shape[2]
    missing = before + length - past.key.shape[2]  # rows of the first stretch that do not exist
    after = -length % size
    q = blocks(F.pad(q, (0, 0, 0, after)), size, 2)
    k, v = (stretches(F.pad(x, (0, 0, missing, after)), size, before, 2) for x in (past.key, past.value))
    query = blocks(F.pad(where.position, (0, after)), size, 1)  # [1 or B times n, W]
    key = stretches(F.pad(past.position, (missing, after)), size, before, 1)
    q, bias = with_positions(q, query, key, where, layer, longest=before + size, contiguous=True)
    bias = None if bias is None else spread(bias, len(q))[:, heads]
    mask = visible.unsqueeze(0) if isinstance(visible, Tensor) else visible(query.unsqueeze(-1), key.unsqueeze(-2))
    if missing > 0:
        exists = torch.arange(before + length + after, device=q.device) >= missing
        mask = spread(mask, len(q)) & spread(stretches(exists.unsqueeze(0), size, before, 1).unsqueeze(1), len(q))
    if where.document is not None and past.document is not None:
        document = blocks(F.pad(where.document, (0, after)), size, 1)
        other = stretches(F.pad(past.document, (missing, after)), size, before, 1)
        mask = spread(mask, len(q)) & (document.unsqueeze(-1) == other.unsqueeze(-2))
    return Blocked(q[:, heads], k, v, mask[0] if len(mask) == 1 else spread(mask, len(q)).unsqueeze(1), bias)


def spread(x: Tensor, rows: int) -> Tensor:
    """[n, ..] -> [N, ..], repeated for each row of the batch; what is one for all stays so."""
    return x if len(x) in (1, rows) else x.repeat(rows // len(x), *[1] * (x.ndim - 1))


def attend_in_blocks(call: Call, size: int, before: int, visible: Tensor | Rule, layer: int, drop: float) -> Tensor:
    """[B, H, T, K] of attention in blocks; see `in_blocks`."""
    return unblocked(attend(*in_blocks(call, size, before, visible, layer), drop), call.q.shape[0], call.q.shape[2])
