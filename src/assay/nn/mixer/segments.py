"""Attention with a memory of rows: segment s of a stream, positions [s S, (s + 1) S), sees itself and rows kept from before it.

What is kept are inputs x of the layer, so that keys and values of memory come from the weights of now and their maps learn from them; the
gradient stops at x. A segment's boundaries follow from the position in the stream, wherever calls begin. All segments that a call
touches are taken at once, as rows of a larger batch, each with its stretch of what lies before it: O(T (S + P)) for P rows of memory.
"""

from dataclasses import replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.nn.mixer.attend import attend, causal_mask, with_positions
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import Documents, Where, empty
from assay.nn.mixer.blocks import blocks, stretches, unblocked
from assay.nn.mixer.kv import KeyValue
from assay.nn.position.base import Rotation
from assay.nn.position.rope import rotate


class Kept(NamedTuple):
    """Inputs of the layer up to the end of a call: up to M of the memory, then those of the segment that has begun."""

    x: Tensor  # [B, R, D]
    position: Tensor  # [1 or B, R]


class Rows(NamedTuple):
    """What is kept and what is new."""

    x: Tensor  # [B, R + P + T, D]
    position: Tensor  # [1 or B, R + P + T]
    memory: int  # R
    begun: int  # P, the rows of this segment that earlier calls read
    segments: int  # how many the P + T rows touch


class Part(NamedTuple):
    """Rows before segments: the last segment of a call sees the last `size` of them, the one before those `step` earlier, and so on."""

    past: KeyValue
    size: int
    step: int
    span: int  # positions that `size` rows stand for; as many as rows: they are consecutive positions up to the next part's


class Seen(NamedTuple):
    """What the queries of a call may see."""

    parts: tuple[Part, ...]  # the farthest first
    own: KeyValue  # of P + T rows
    window: int | None = None  # a query sees no more than so many rows, itself among them


class SegmentAttention(Attention):
    """What a kind with segments is made of. It says which parts lie before them."""

    documents: ClassVar[Documents] = "whole_rows"
    bounded: ClassVar[bool] = True

    def __init__(self, config: AttentionConfig, width: int, layer: int, segment: int) -> None:
        super().__init__(config, width, layer)
        self.width, self.segment = width, segment

    def nothing_kept(self, batch: int, like: Tensor) -> Kept:
        """What is kept before position 0."""
        return Kept(empty(like, batch, 0, self.width), empty(like, 1, 0, dtype=torch.int64))

    def joined(self, kept: Kept | None, x: Tensor, where: Where) -> Rows:
        """What is kept with the rows of a call."""
        begun = where.stream % self.segment
        segments = -(-(begun + x.shape[1]) // self.segment)
        if kept is None or kept.x.shape[1] == 0:
            return Rows(x, where.position, 0, 0, segments)
        position = side_by_side([kept.position, where.position])
        return Rows(torch.cat([kept.x, x], dim=1), position, kept.x.shape[1] - begun, begun, segments)

    def keep(self, rows: Rows, memory: int) -> Kept:
        """What the next call needs: `memory` rows, without a graph, before its segment, and the rows of that segment."""
        begin = (rows.x.shape[1] - rows.memory) // self.segment * self.segment + rows.memory
        first = max(0, begin - memory)
        x = torch.cat([rows.x[:, first:begin].detach(), rows.x[:, begin:]], dim=1)
        return Kept(x, rows.position[:, first:])

    def heads_of(self, rows: Rows, where: Where) -> tuple[Tensor, KeyValue, KeyValue]:
        """Queries, keys and values of the P + T rows; keys and values of the rows that are memory to any of their segments."""
        R, before = rows.memory, rows.memory + (rows.segments - 1) * self.segment  # noqa: N806
        rotation = self.rotation(rows.position, where) if R + rows.begun else where.rotation
        q, k, v = self.split(rows.x[:, R:], replace(where, rotation=None if rotation is None else rotation.part(R)))
        if torch.is_grad_enabled():  # memory is mapped once more, with a gradient for the maps and none for its rows
            key, value = self.key_value(rows.x[:, :before].detach(), rotation)
        else:
            key, value = self.key_value(rows.x[:, :R], rotation)
            key, value = (torch.cat([a, b[:, :, : before - R]], dim=2) for a, b in ((key, k), (value, v)))
        memory = KeyValue(key, value, rows.position[:, :before], None)
        return q, KeyValue(k, v, rows.position[:, R:], None), memory

    def rotation(self, position: Tensor, where: Where) -> Rotation | None:
        """Cosine and sine for positions that are not only those of the call."""
        if where.rotation is None:
            return None
        return where.encoding.angles(position).to(where.rotation.of_size[self.head_size][0].dtype)

    def key_value(self, x: Tensor, rotation: Rotation | None, frozen: bool = False) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H_k, S, K] of rows [B, S, D], the first ones of `rotation`; `frozen`: without a gradient for the maps."""
        k, v = self._map(x, self.heads, 2 * self.key_heads, frozen).split(self.key_heads, dim=2)
        rotation = None if rotation is None else rotation.part(0, x.shape[1])
        return rotate(self._normed(k), rotation).transpose(1, 2).to(v.dtype), v.transpose(1, 2)

    def content_queries(self, x: Tensor) -> Tensor:
        """Queries [B, H, T, K] that know nothing of positions, without a gradient for the map."""
        q = self._map(x, 0, self.heads, frozen=True)
        content: Tensor = self.query_scale(self._normed(q).transpose(1, 2).to(q.dtype))
        return content

    def _map(self, x: Tensor, begin: int, heads: int, frozen: bool) -> Tensor:
        """Some of the heads that `project` gives, [B, S, heads, K]. A copy of the weights is detached, never they themselves."""
        chosen = slice(begin * self.head_size, (begin + heads) * self.head_size)
        weight, bias = self.project.weight[chosen], None if self.project.bias is None else self.project.bias[chosen]
        if frozen:
            weight, bias = weight.detach(), None if bias is None else bias.detach()
        return F.linear(x.to(weight.dtype), weight, bias).view(*x.shape[:2], heads, self.head_size)

    def _normed(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (self.head_size,), eps=1e-6) if self.qk_norm else x

    def look(self, q: Tensor, seen: Seen, rows: Rows, where: Where) -> Tensor:
        """[B, H, T, K]: what each query of the call finds in the parts before its segment and in the segment up to itself."""
        if rows.segments > 1:
            return self._look_in_blocks(q, seen, where)[:, :, rows.begun :]
        return attend(*self.one_segment(q, seen, rows, where), self.drop)

    def one_segment(self, q: Tensor, seen: Seen, rows: Rows, where: Where) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
        """Queries of the call, all inside one segment; keys, values, mask and bias."""
        pasts = [*(part.past for part in seen.parts), seen.own]
        key, value = (torch.cat([getattr(past, name) for past in pasts], dim=2) for name in ("key", "value"))
        q, position = q[:, :, rows.begun :], side_by_side([past.position for past in pasts])
        queries, keys = q.shape[2], key.shape[2]
        mask = None
        if keys > queries or (seen.window is not None and seen.window < keys):
            mask = causal_mask(queries, keys, None, None, q.device)
            mask = mask if seen.window is None else mask.triu(keys - queries - seen.window + 1)
        q, bias = self._placed(q, where.position, position, seen, where)
        return q, key, value, mask, bias

    def _look_in_blocks(self, q: Tensor, seen: Seen, where: Where) -> Tensor:
        """The same for the queries of all P + T rows, the segments being rows of a batch."""
        rows, _, length, _ = q.shape
        S, after = self.segment, -length % self.segment  # noqa: N806
        count, own = (length + after) // S, seen.own
        padded = [F.pad(x, (0, 0, 0, after)) for x in (q, own.key, own.value)]
        q, key, value = (blocks(x, S, 2) for x in padded)  # [B n, .., S, K]
        position = blocks(F.pad(own.position, (0, after)), S, 1)  # [n, S]
        pieces = [_stretched(part, count) for part in seen.parts]
        key = torch.cat([*(piece.key for piece, _ in pieces), key], dim=2)
        value = torch.cat([*(piece.value for piece, _ in pieces), value], dim=2)
        exists = torch.cat([*(there for _, there in pieces), torch.ones(count, S, dtype=torch.bool, device=q.device)], dim=1)  # [n, P + S]
        visible = causal_mask(S, key.shape[2], None, None, q.device)
        if seen.window is not None:
            visible = visible.triu(key.shape[2] - S - seen.window + 1)
        mask = (visible & exists.unsqueeze(1)).repeat(rows, 1, 1).unsqueeze(1)  # [B n, 1, S, P + S]
        q, bias = self._placed(q, position, side_by_side([*(piece.position for piece, _ in pieces), position]), seen, where)
        if bias is not None and len(bias) not in (1, len(q)):
            bias = bias.repeat(rows, 1, 1, 1)
        return unblocked(attend(q, key, value, mask, bias, self.drop), rows, length)

    def _placed(self, q: Tensor, query: Tensor, key: Tensor, seen: Seen, where: Where) -> tuple[Tensor, Tensor | None]:
        longest = self.segment + sum(part.span for part in seen.parts)
        contiguous = all(part.span == part.size for part in seen.parts)
        return with_positions(q, query, key, where, self.layer, longest, contiguous)


def _stretched(part: Part, count: int) -> tuple[KeyValue, Tensor]:
    """What each of `count` segments sees of a part, [B n, H_k, size, K], and which of these rows exist, [n, size]."""
    past, size, step, _ = part
    length = size + (count - 1) * step
    missing = length - past.key.shape[2]
    key, value = (stretches(F.pad(x, (0, 0, missing, 0)), step, size - step, 2) for x in (past.key, past.value))
    position = stretches(F.pad(past.position, (missing, 0)), step, size - step, 1)
    exists = torch.arange(length, device=key.device).unsqueeze(0) >= missing
    return KeyValue(key, value, position, None), stretches(exists, step, size - step, 1)


def side_by_side(parts: list[Tensor]) -> Tensor:
    """Positions [1 or B, ..] of several parts side by side."""
    rows = max(len(part) for part in parts)
    return torch.cat([part if len(part) == rows else part.repeat(rows // len(part), 1) for part in parts], dim=1)
