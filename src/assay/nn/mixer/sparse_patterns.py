"""The patterns of `sparse.py`: the positions that a head sees, and attention to them that computes little else.

Positions count from the start of a text, or of a document where documents are masked. `attend` is for a call that begins its stream and is
longer than the stride.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.nn.dropout import dropout
from assay.nn.mixer.blockwise import (
    AttentionInputs,
    BlockShape,
    attend_to_window,
    expand_bias,
    expand_rows,
    merge_blocks,
    prepare_blocks,
    split_queries,
)
from assay.nn.mixer.softmax_attention import AttentionCall, KeyValue, apply_positions, attend, attention_logits, repeat_heads

QUERY_PIECES = 4  # in which queries are taken, so that early ones are not multiplied with all the columns of late ones


class Pattern:
    """The positions that some heads of a layer see."""

    @property
    def reach(self) -> int | None:
        """How far back they see; None: some queries see all of the past."""
        return None

    def last_dependent_position(self, position: int) -> int | None:
        """Find the last position that sees this one; None: no limit."""
        return None if self.reach is None else position + self.reach

    def visibility_mask(self, query: Tensor, key: Tensor) -> Tensor:
        """Define the pattern: which keys at positions [.., 1, S] the queries at positions [.., T, 1] see, as bool [.., T, S]."""
        raise TypeError(f"{type(self).__name__} does not define visibility_mask")

    def attend(self, call: AttentionCall) -> Tensor:
        """Attend to the positions of the pattern -> o [B, H, T, K]."""
        raise TypeError(f"{type(self).__name__} does not define attend")


class HeadPattern(NamedTuple):
    """Some query heads of a layer, and their pattern."""

    heads: slice
    pattern: Pattern


@dataclass(frozen=True)
class BandPattern(Pattern):
    """j in (i - W, i]. O(T W)."""

    window: int

    @property
    def reach(self) -> int:
        return self.window - 1

    def visibility_mask(self, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (key > query - self.window)

    def attend(self, call: AttentionCall) -> Tensor:
        return attend_to_window(call, self.window)


@dataclass(frozen=True)
class FixedPattern(Pattern):
    """near: the own block of l positions; far: the columns begin <= j mod l < end of all blocks; up to i. O(T l + T^2 c / l)."""

    stride: int
    begin: int
    end: int
    near: bool
    far: bool

    @property
    def reach(self) -> int | None:
        return None if self.far else self.stride - 1

    def last_dependent_position(self, position: int) -> int | None:
        inside = position % self.stride
        if self.far and self.begin <= inside < self.end:
            return None
        return position - inside + self.stride - 1 if self.near else position

    def visibility_mask(self, query: Tensor, key: Tensor) -> Tensor:
        causal, own = key <= query, key // self.stride == query // self.stride
        if not self.far:
            return causal & own
        return causal & (own | self._is_column(key) if self.near else self._is_column(key))

    def attend(self, call: AttentionCall) -> Tensor:
        length = call.q.shape[2]
        if not self.far:
            return merge_blocks(attend(*self._own_block(call), call.dropout_rate), len(call.q), length)
        step = self.stride * math.ceil(length / self.stride / QUERY_PIECES)
        return torch.cat([self._attend_in_piece(_piece(call, t, t + step)) for t in range(0, length, step)], dim=2)

    def _attend_in_piece(self, call: AttentionCall) -> Tensor:
        """Attend with some of the queries, to all that was before them."""
        length = call.q.shape[2]
        seen = _join(self._own_block(call), self._all_columns(call, self.stride)) if self.near else self._all_columns(call, length)
        return merge_blocks(attend(*seen, call.dropout_rate), len(call.q), length)

    def _own_block(self, call: AttentionCall) -> AttentionInputs:
        if call.inputs.document is None:
            shape = BlockShape(self.stride, 0)
            return prepare_blocks(call, shape, shape.distances(call.q.device) >= 0)
        return prepare_blocks(call, BlockShape(self.stride, self.stride - 1), replace(self, far=False).visibility_mask)

    def _all_columns(self, call: AttentionCall, size: int) -> AttentionInputs:
        """Cut queries into blocks, each with all columns; those of the own block are left out where it is seen anyhow."""
        columns, exists = self._columns(call.past)
        q, query, document = split_queries(call, size)
        count = len(q) // len(call.q)
        key = columns.position.repeat_interleave(count, 0)  # [1 or B times n, C]
        earlier = key.unsqueeze(1) // self.stride < query.unsqueeze(2) // self.stride
        mask = (earlier if self.near else key.unsqueeze(1) <= query.unsqueeze(2)) & exists.repeat_interleave(count, 0).unsqueeze(1)
        if document is not None and columns.document is not None:
            mask = mask & (document.unsqueeze(2) == columns.document.repeat_interleave(count, 0).unsqueeze(1))
        q, bias = apply_positions(q, query, key, call.inputs, call.layer, longest=call.past.key.shape[2])
        k, v = (x.repeat_interleave(count, 0) for x in (columns.key, columns.value))
        return AttentionInputs(q[:, call.heads], k, v, expand_rows(mask, len(q)).unsqueeze(1), expand_bias(bias, len(q), call.heads))

    def _is_column(self, position: Tensor) -> Tensor:
        inside = position % self.stride
        return (inside >= self.begin) & (inside < self.end)

    def _columns(self, past: KeyValue) -> tuple[KeyValue, Tensor]:
        """Select the C columns among the past, oldest first, and which of them exist, [1 or B, C]: C is the most that there can be."""
        length, width = past.key.shape[2], self.end - self.begin
        period = self.stride if past.document is None else self.end  # each document may end as soon as it has had its columns
        most = length // period * width + min(max(length % period - self.begin, 0), width)
        is_column = self._is_column(past.position)
        index = (~is_column).to(torch.uint8).argsort(dim=-1, stable=True)[:, :most]
        chosen = index[:, None, :, None].expand(len(past.key), past.key.shape[1], -1, past.key.shape[3])
        document = None if past.document is None else past.document.gather(1, index)
        columns = KeyValue(past.key.gather(2, chosen), past.value.gather(2, chosen), past.position.gather(1, index), document)
        return columns, is_column.gather(1, index)


@dataclass(frozen=True)
class StridedPattern(Pattern):
    """far: i - j is a multiple of l; near: and i - l <= j <= i too. O(T l + T^2 / l): positions equal mod l are put together."""

    stride: int
    near: bool

    def visibility_mask(self, query: Tensor, key: Tensor) -> Tensor:
        far = (query - key) % self.stride == 0
        return (key <= query) & (far | (key >= query - self.stride) if self.near else far)

    def attend(self, call: AttentionCall) -> Tensor:
        rows, heads, length, _ = call.q[:, call.heads].shape
        far = self._classes(call)
        if not self.near:
            return _merge_classes(attend(*far, call.dropout_rate), rows, length)
        shape = BlockShape(self.stride, self.stride)
        distance = shape.distances(call.q.device)
        near = prepare_blocks(call, shape, (distance >= 0) & (distance <= self.stride))
        scores = torch.cat([_masked_logits(near), _exchange(_masked_logits(far), rows)], dim=-1)  # [B n, H, l, 2 l + n]
        weights = dropout(scores.softmax(-1), call.dropout_rate, training=True)
        to_near, to_far = weights.split((2 * self.stride, weights.shape[-1] - 2 * self.stride), dim=-1)
        of_far = _merge_classes(_exchange(to_far, rows) @ repeat_heads(far.value, heads), rows, length)
        return merge_blocks(to_near @ repeat_heads(near.value, heads), rows, length) + of_far

    def _classes(self, call: AttentionCall) -> AttentionInputs:
        """Make rows of the classes of equal positions mod l, each with its n positions; near ones are left out where they are seen."""
        inputs, after = call.inputs, -call.q.shape[2] % self.stride
        q, k, v = (_split_into_classes(F.pad(x, (0, 0, 0, after)), self.stride, 2) for x in (call.q, call.past.key, call.past.value))
        position = _split_into_classes(F.pad(inputs.position, (0, after)), self.stride, 1)
        mask = BlockShape(q.shape[2], 0).distances(q.device) >= (2 if self.near else 0)
        if inputs.document is not None:
            document = _split_into_classes(F.pad(inputs.document, (0, after)), self.stride, 1)
            mask = (mask & (document.unsqueeze(2) == document.unsqueeze(1))).unsqueeze(1)
        q, bias = apply_positions(q, position, position, inputs, call.layer, longest=call.past.key.shape[2])
        return AttentionInputs(q[:, call.heads], k, v, mask, expand_bias(bias, len(q), call.heads))


def _piece(call: AttentionCall, begin: int, end: int) -> AttentionCall:
    """Select the queries from `begin` to `end`, and the past up to them."""
    return call._replace(q=call.q[:, :, begin:end], past=call.past.slice_positions(0, end), inputs=call.inputs.slice_positions(begin, end))


def _join(one: AttentionInputs, other: AttentionInputs) -> AttentionInputs:
    """Join the keys of both for the same queries."""
    masks = [mask.expand(len(other.mask), 1, -1, -1) for mask in (one.mask, other.mask)]
    bias = None
    if one.bias is not None and other.bias is not None:
        rows = max(len(one.bias), len(other.bias))
        bias = torch.cat([b.expand(rows, -1, -1, -1) for b in (one.bias, other.bias)], dim=-1)
    k, v = (torch.cat(pair, dim=2) for pair in ((one.key, other.key), (one.value, other.value)))
    return AttentionInputs(one.q, k, v, torch.cat(masks, dim=-1), bias)


def _split_into_classes(x: Tensor, stride: int, dim: int) -> Tensor:
    """Split positions into classes, [B, .., n l, ..] -> [B l, .., n, ..]: row b l + r holds the positions r, r + l, r + 2 l .."""
    by_class: Tensor = x.unflatten(dim, (-1, stride))
    return by_class.movedim(dim + 1, 1).flatten(0, 1)


def _merge_classes(y: Tensor, rows: int, length: int) -> Tensor:
    """Put classes together again, [B l, H, n, K] -> [B, H, T, K]."""
    by_row: Tensor = y.unflatten(0, (rows, -1))  # [B, l, H, n, K]
    return by_row.permute(0, 2, 3, 1, 4).flatten(2, 3)[:, :, :length]


def _exchange(z: Tensor, rows: int) -> Tensor:
    """Turn classes [B l, H, n, S] into blocks [B n, H, l, S] of the same queries, or blocks into classes."""
    by_row: Tensor = z.unflatten(0, (rows, -1))
    return by_row.transpose(1, 3).flatten(0, 1)


def _masked_logits(inputs: AttentionInputs) -> Tensor:
    """Compute the logits [N, H, W, S], the lowest number where a key is not seen."""
    scores = attention_logits(inputs.q, inputs.key, None if inputs.bias is None else inputs.bias.to(inputs.q.dtype))
    return scores.masked_fill(~inputs.mask, torch.finfo(scores.dtype).min)
