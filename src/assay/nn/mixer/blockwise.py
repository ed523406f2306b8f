"""Attention in blocks: queries in blocks of W, each with the keys of a stretch that ends with its block. Blocks are rows of a larger batch.

Where a query sees no further than P positions before its block, the logits are [B n, H, W, P + W] for T = n W positions, so the cost is
O(T (P + W)) instead of O(T^2), and everything that works on attention (masks, biases, dropout) works on blocks.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.nn.mixer.softmax_attention import AttentionCall, apply_positions, attend

MAX_BLOCK_SIZE = 128  # queries in a block, at most: with more of them, more of the keys of a block are hidden from most of its queries
VisibilityRule = Callable[[Tensor, Tensor], Tensor]  # positions of queries [.., W, 1] and of keys [.., 1, S] -> [.., W, S] bool


class BlockShape(NamedTuple):
    """Blocks of W queries, each with the keys of P positions before it and of its own."""

    size: int  # W
    before: int  # P

    def distances(self, device: torch.device) -> Tensor:
        """Compute how far before query i of a block key c of its stretch lies, [W, P + W]; negative: after it."""
        first = torch.arange(self.before, self.before + self.size, device=device)
        return first.unsqueeze(-1) - torch.arange(self.before + self.size, device=device)


class AttentionInputs(NamedTuple):
    """The arguments of `attend` for N = B n blocks. A mask without the axis N is that of all blocks."""

    q: Tensor  # [N, H, W, K]
    key: Tensor  # [N, H_k, P + W, K]
    value: Tensor  # [N, H_k, P + W, K]
    mask: Tensor  # [W, P + W] or [N, 1, W, P + W]
    bias: Tensor | None  # [1 or N, H, W, P + W]


def choose_block_shape(call: AttentionCall, reach: int) -> BlockShape:
    """Choose W and P for queries that see `reach` positions back, at most: one block of a short call and its whole past, else many."""
    queries, keys = call.q.shape[2], call.past.key.shape[2]
    if queries <= min(reach, MAX_BLOCK_SIZE):
        return BlockShape(queries, keys - queries)
    return BlockShape(min(reach + 1, MAX_BLOCK_SIZE), reach)


def prepare_blocks(call: AttentionCall, shape: BlockShape, visible: Tensor | VisibilityRule) -> AttentionInputs:
    """Cut a call into blocks of this shape.

    `visible`, [W, P + W] or a rule on positions, says which keys of its stretch a query sees, none after it. Keys that do not exist are
    not seen; other documents are not where documents are masked.
    """
    past, inputs, (size, before), length = call.past, call.inputs, shape, call.q.shape[2]
    missing = before + length - past.key.shape[2]  # rows of the first stretch that do not exist
    after = -length % size
    q, query, document = split_queries(call, size)
    k, v = (overlapping_blocks(F.pad(x, (0, 0, missing, after)), shape, 2) for x in (past.key, past.value))
    key = overlapping_blocks(F.pad(past.position, (missing, after)), shape, 1)
    q, bias = apply_positions(q, query, key, inputs, call.layer, longest=before + size, contiguous=True)
    mask = visible.unsqueeze(0) if isinstance(visible, Tensor) else visible(query.unsqueeze(-1), key.unsqueeze(-2))
    if missing > 0:
        exists = torch.arange(before + length + after, device=q.device) >= missing
        mask = expand_rows(mask, len(q)) & expand_rows(overlapping_blocks(exists.unsqueeze(0), shape, 1).unsqueeze(1), len(q))
    if document is not None and past.document is not None:
        key_document = overlapping_blocks(F.pad(past.document, (missing, after)), shape, 1)
        mask = expand_rows(mask, len(q)) & (document.unsqueeze(-1) == key_document.unsqueeze(-2))
    mask = mask[0] if len(mask) == 1 else expand_rows(mask, len(q)).unsqueeze(1)
    return AttentionInputs(q[:, call.heads], k, v, mask, expand_bias(bias, len(q), call.heads))


def split_queries(call: AttentionCall, size: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Cut the queries of a call into blocks [N, H, W, K], with their positions [n or N, W] and documents [N, W]."""
    after, document = -call.q.shape[2] % size, call.inputs.document
    return (
        split_into_blocks(F.pad(call.q, (0, 0, 0, after)), size, 2),
        split_into_blocks(F.pad(call.inputs.position, (0, after)), size, 1),
        None if document is None else split_into_blocks(F.pad(document, (0, after)), size, 1),
    )


def attend_in_blocks(call: AttentionCall, shape: BlockShape, visible: Tensor | VisibilityRule) -> Tensor:
    """Attend in blocks -> [B, H, T, K]; see `prepare_blocks`."""
    return merge_blocks(attend(*prepare_blocks(call, shape, visible), call.dropout_rate), len(call.q), call.q.shape[2])


def attend_to_window(call: AttentionCall, window: int) -> Tensor:
    """Attend in blocks to the last positions of each query, as many as the window is long -> [B, H, T, K]."""
    shape = BlockShape(min(window, MAX_BLOCK_SIZE), window - 1)
    distance = shape.distances(call.q.device)
    return attend_in_blocks(call, shape, (distance >= 0) & (distance < window))


def split_into_blocks(x: Tensor, size: int, dim: int) -> Tensor:
    """Fold `dim` (of n W elements) of x into the first one: [B, .., n W, ..] -> [B n, .., W, ..]."""
    return overlapping_blocks(x, BlockShape(size, 0), dim)


def overlapping_blocks(x: Tensor, shape: BlockShape, dim: int) -> Tensor:
    """Cut x into overlapping pieces along `dim`: [B, .., P + n W, ..] -> [B n, .., P + W, ..], piece b being the elements from b W on."""
    pieces = x.unfold(dim, shape.before + shape.size, shape.size).movedim((dim, -1), (1, dim + 1))  # [B, n, .., P + W, ..]
    return pieces.flatten(0, 1)  # one copy, whose last axis stays the last, as the fused attention of CPUs asks for


def merge_blocks(y: Tensor, rows: int, length: int) -> Tensor:
    """Put blocks together again, [B n, H, W, K] -> [B, H, T, K], for B rows of T = length."""
    by_row: Tensor = y.unflatten(0, (rows, -1))  # [B, n, H, W, K]
    return by_row.transpose(1, 2).flatten(2, 3)[:, :, :length]


def expand_rows(x: Tensor, rows: int) -> Tensor:
    """Repeat x for each row of the batch, [n, ..] -> [N, ..]; what is one for all stays so."""
    return x if len(x) in (1, rows) else x.repeat(rows // len(x), *[1] * (x.ndim - 1))


def expand_bias(bias: Tensor | None, rows: int, heads: slice = slice(None)) -> Tensor | None:
    """Repeat the bias of some heads for each row of the batch, if there is a bias."""
    return None if bias is None else expand_rows(bias, rows)[:, heads]
