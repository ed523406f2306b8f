"""Attention with a memory of rows: segment s of a stream, positions [s S, (s + 1) S), sees itself and rows kept from before it.

The state is inputs x of the layer, so that keys and values of memory come from the weights of now and their maps learn from them; the
gradient stops at x. A segment's boundaries follow from the position in the stream, wherever calls begin. All segments that a call
touches are taken at once, as rows of a larger batch, each with its stretch of what lies before it: O(T (S + P)) for P rows of memory.
"""

from dataclasses import replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.core.types import State
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import LayerInputs, empty
from assay.nn.mixer.blockwise import BlockShape, expand_bias, merge_blocks, overlapping_blocks, split_into_blocks
from assay.nn.mixer.softmax_attention import KeyValue, apply_positions, attend, causal_mask, concatenate_past, concatenate_positions
from assay.nn.position.base import Rotation, rotate


class InputRows(NamedTuple):
    """Inputs of the layer and their positions. The state has those up to the end of a call: up to M of memory, then the open segment's."""

    x: Tensor  # [B, R, D]
    position: Tensor  # [1 or B, R]

    def join(self, new: "InputRows") -> "InputRows":
        """Put newer rows, which come without a graph, behind these."""
        return InputRows(torch.cat([self.x, new.x.detach()], dim=1), concatenate_positions([self.position, new.position]))

    def slice(self, begin: int, end: int | None = None) -> "InputRows":
        """Return some of the rows."""
        return InputRows(self.x[:, begin:end], self.position[:, begin:end])


class SegmentRows(NamedTuple):
    """The rows of the state with those of a call."""

    x: Tensor  # [B, R + P + T, D]
    position: Tensor  # [1 or B, R + P + T]
    memory: int  # R
    already_read: int  # P, the rows of this segment that earlier calls read
    segments: int  # how many the P + T rows touch


class MemoryPart(NamedTuple):
    """Rows before segments: the last segment of a call sees the last `size` of them, the one before those `step` earlier, and so on."""

    past: KeyValue
    size: int
    step: int
    span: int  # positions that `size` rows stand for; as many as rows: they are consecutive positions up to the next part's


class VisibleRows(NamedTuple):
    """The rows that the queries of a call may see."""

    parts: tuple[MemoryPart, ...]  # the farthest first
    own: KeyValue  # of P + T rows
    window: int | None = None  # a query sees no more than so many rows, itself among them


class SegmentAttention(Attention):
    """Attention to segments. A kind says which parts lie before them."""

    masks_documents: ClassVar[bool] = False
    bounded_state: ClassVar[bool] = True

    def __init__(self, config: AttentionConfig, width: int, layer: int, segment: int) -> None:
        super().__init__(config, width, layer)
        self.width, self.segment = width, segment

    def init_state(self, batch: int, like: Tensor) -> State:
        return InputRows(empty(like, batch, 0, self.width), empty(like, 1, 0, dtype=torch.int64))

    def join_rows(self, kept: InputRows | None, x: Tensor, inputs: LayerInputs) -> SegmentRows:
        """Put the rows of a call behind those of the state."""
        already_read = inputs.stream_position % self.segment
        segments = -(-(already_read + x.shape[1]) // self.segment)
        if kept is None or kept.x.shape[1] == 0:
            return SegmentRows(x, inputs.position, 0, 0, segments)
        position = concatenate_positions([kept.position, inputs.position])
        return SegmentRows(torch.cat([kept.x, x], dim=1), position, kept.x.shape[1] - already_read, already_read, segments)

    def count_ended_segments(self, rows: SegmentRows) -> int:
        """Count the segments that end in a call."""
        return (rows.x.shape[1] - rows.memory) // self.segment

    def keep_rows(self, rows: SegmentRows, memory: int) -> InputRows:
        """Keep the rows that the next call needs: `memory` rows, without a graph, before its segment, and the rows of that segment."""
        begin = self.count_ended_segments(rows) * self.segment + rows.memory
        first = max(0, begin - memory)
        x = torch.cat([rows.x[:, first:begin].detach(), rows.x[:, begin:]], dim=1)
        return InputRows(x, rows.position[:, first:])

    def project_rows(self, rows: SegmentRows, inputs: LayerInputs) -> tuple[Tensor, KeyValue, KeyValue]:
        """Project the P + T rows to queries, keys and values, and the rows that are memory to any of their segments to keys and values."""
        R, before = rows.memory, rows.memory + (rows.segments - 1) * self.segment  # noqa: N806
        rotation = self.rotation_at(rows.position, inputs) if R + rows.already_read else inputs.rotation
        q, k, v = self.split(rows.x[:, R:], replace(inputs, rotation=None if rotation is None else rotation.slice_positions(R)))
        if torch.is_grad_enabled():  # memory is mapped once more, with a gradient for the maps and none for its rows
            key, value = self.project_key_value(rows.x[:, :before].detach(), rotation)
        else:
            key, value = self.project_key_value(rows.x[:, :R], rotation)
            key, value = (torch.cat([a, b[:, :, : before - R]], dim=2) for a, b in ((key, k), (value, v)))
        memory = KeyValue(key, value, rows.position[:, :before], None)
        return q, KeyValue(k, v, rows.position[:, R:], None), memory

    def project_key_value(self, x: Tensor, rotation: Rotation | None, frozen: bool = False) -> tuple[Tensor, Tensor]:
        """Project rows [B, S, D] to keys and values [B, H_k, S, K], rotated by the first of `rotation`; `frozen`: maps get no gradient."""
        k, v = self.project_heads(x, self.heads, 2 * self.key_heads, frozen).split(self.key_heads, dim=2)
        rotation = None if rotation is None else rotation.slice_positions(0, x.shape[1])
        return rotate(self.normalise(k), rotation).transpose(1, 2).to(v.dtype), v.transpose(1, 2)

    def project_content_queries(self, x: Tensor) -> Tensor:
        """Project x to queries [B, H, T, K] without positions, and without a gradient for the map."""
        q = self.project_heads(x, 0, self.heads, frozen=True)
        scaled: Tensor = self.query_scale(self.normalise(q).transpose(1, 2).to(q.dtype))
        return scaled

    def attend_to_segments(self, q: Tensor, seen: VisibleRows, rows: SegmentRows, inputs: LayerInputs) -> Tensor:
        """Attend with each query to the parts before its segment and to the segment up to itself -> [B, H, T, K]."""
        if rows.segments > 1:
            return self._attend_in_blocks(q, seen, inputs)[:, :, rows.already_read :]
        return attend(*self.prepare_segment(q, seen, rows, inputs), self.dropout.rate)

    def prepare_segment(
        self, q: Tensor, seen: VisibleRows, rows: SegmentRows, inputs: LayerInputs
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
        """Prepare queries, keys, values, mask and bias for `attend`, where the queries of a call are all inside one segment."""
        past = concatenate_past([*(part.past for part in seen.parts), seen.own])
        q = q[:, :, rows.already_read :]
        queries, keys, mask = q.shape[2], past.key.shape[2], None
        if keys > queries or (seen.window is not None and seen.window < keys):
            mask = _window_mask(queries, keys, seen.window, q.device)
        q, bias = self._apply_positions(q, inputs.position, past.position, seen, inputs)
        return q, past.key, past.value, mask, bias

    def _attend_in_blocks(self, q: Tensor, seen: VisibleRows, inputs: LayerInputs) -> Tensor:
        """Attend with the queries of all P + T rows, the segments being rows of a batch."""
        rows, _, length, _ = q.shape
        S, after = self.segment, -length % self.segment  # noqa: N806
        count = (length + after) // S
        q, key, value = (split_into_blocks(F.pad(x, (0, 0, 0, after)), S, 2) for x in (q, seen.own.key, seen.own.value))  # [B n, .., S, K]
        position = split_into_blocks(F.pad(seen.own.position, (0, after)), S, 1)  # [n, S]
        stretches = [_stretch(part, count) for part in seen.parts]
        past = concatenate_past([*(stretch for stretch, _ in stretches), KeyValue(key, value, position, None)])
        own_exist = torch.ones(count, S, dtype=torch.bool, device=q.device)
        exist = torch.cat([*(exist for _, exist in stretches), own_exist], dim=1)  # [n, P + S]
        visible = _window_mask(S, past.key.shape[2], seen.window, q.device) & exist.unsqueeze(1)
        mask = visible.repeat(rows, 1, 1).unsqueeze(1)  # [B n, 1, S, P + S]
        q, bias = self._apply_positions(q, position, past.position, seen, inputs)
        return merge_blocks(attend(q, past.key, past.value, mask, expand_bias(bias, len(q)), self.dropout.rate), rows, length)

    def _apply_positions(
        self, q: Tensor, query: Tensor, key: Tensor, seen: VisibleRows, inputs: LayerInputs
    ) -> tuple[Tensor, Tensor | None]:
        longest = self.segment + sum(part.span for part in seen.parts)
        contiguous = all(part.span == part.size for part in seen.parts)
        return apply_positions(q, query, key, inputs, self.layer, longest, contiguous)


def _window_mask(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    """Make the causal mask [T, S] bool, of no more than the last `window` keys of a query where there is a window."""
    mask = causal_mask(queries, keys, None, None, device)
    return mask if window is None else mask.triu(keys - queries - window + 1)


def _stretch(part: MemoryPart, count: int) -> tuple[KeyValue, Tensor]:
    """Cut out the rows of a part that each of `count` segments sees, [B n, H_k, size, K], and say which of them exist, [n, size]."""
    past, shape = part.past, BlockShape(part.step, part.size - part.step)
    length = part.size + (count - 1) * part.step
    missing = length - past.key.shape[2]
    key, value = (overlapping_blocks(F.pad(x, (0, 0, missing, 0)), shape, 2) for x in (past.key, past.value))
    position = overlapping_blocks(F.pad(past.position, (missing, 0)), shape, 1)
    exist = torch.arange(length, device=key.device).unsqueeze(0) >= missing
    return KeyValue(key, value, position, None), overlapping_blocks(exist, shape, 1)
