"""What a head sees in the patterns of `sparse.py`: each as a set of positions, and as attention that computes little else.

Positions count from the start of a text, or of a document where documents are masked. `attend` is for a call that begins its stream and is
longer than the stride.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.nn.dropout import dropout
from assay.nn.mixer.attend import attend, with_positions
from assay.nn.mixer.blocks import BLOCK, Blocked, Call, attend_in_blocks, blocks, distances, in_blocks, spread, unblocked
from assay.nn.mixer.kv import KeyValue

PIECES = 4  # in which queries are taken, so that early ones are not held against all the columns of late ones


class Pattern:
    """What some heads of a layer see."""

    @property
    def reach(self) -> int | None:
        """How far back; None: all of the past, here and there."""
        return None

    def last_reader(self, position: int) -> int | None:
        """The last position that sees this one; None: there is none."""
        return None if self.reach is None else position + self.reach

    def sees(self, query: Tensor, key: Tensor) -> Tensor:
        """The definition: which positions of keys [.., 1, S] those of queries [.., T, 1] see, [.., T, S] bool."""
        raise TypeError(f"{type(self).__name__} does not define sees")

    def attend(self, call: Call, layer: int, drop: float) -> Tensor:
        """o [B, H, T, K]."""
        raise TypeError(f"{type(self).__name__} does not define attend")


@dataclass(frozen=True)
class Band(Pattern):
    """j in (i - W, i]. O(T W)."""

    window: int

    @property
    def reach(self) -> int:
        return self.window - 1

    def sees(self, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (key > query - self.window)

    def attend(self, call: Call, layer: int, drop: float) -> Tensor:
        size = min(self.window, BLOCK)
        distance = distances(size, self.reach, call.q.device)
        return attend_in_blocks(call, size, self.reach, (distance >= 0) & (distance < self.window), layer, drop)


@dataclass(frozen=True)
class Fixed(Pattern):
    """near: the own block of l positions; far: the columns begin <= j mod l < end of all blocks; up to i. O(T l + T^2 c / l)."""

    stride: int
    begin: int
    end: int
    near: bool
    far: bool

    @property
    def reach(self) -> int | None:
        return None if self.far else self.stride - 1

    def last_reader(self, position: int) -> int | None:
        inside = position % self.stride
        if self.far and self.begin <= inside < self.end:
            return None
        return position - inside + self.stride - 1 if self.near else position

    def sees(self, query: Tensor, key: Tensor) -> Tensor:
        causal, own = key <= query, key // self.stride == query // self.stride
        if not self.far:
            return causal & own
        return causal & (own | self._is_column(key) if self.near else self._is_column(key))

    def attend(self, call: Call, layer: int, drop: float) -> Tensor:
        rows, _, length, _ = call.q.shape
        if not self.far:
            return unblocked(attend(*self._own(call, layer), drop), rows, length)
        step = self.stride * math.ceil(length / self.stride / PIECES)
        return torch.cat([self._piece(_cut(call, t, t + step), layer, drop) for t in range(0, length, step)], dim=2)

    def _piece(self, call: Call, layer: int, drop: float) -> Tensor:
        """Some of the queries, with all that was before them."""
        rows, _, length, _ = call.q.shape
        seen = _beside(self._own(call, layer), self._far(call, self.stride, layer)) if self.near else self._far(call, length, layer)
        return unblocked(attend(*seen, drop), rows, length)

    def _own(self, call: Call, layer: int) -> Blocked:
        if call.where.document is None:
            return in_blocks(call, self.stride, 0, distances(self.stride, 0, call.q.device) >= 0, layer)
        return in_blocks(call, self.stride, self.stride - 1, replace(self, far=False).sees, layer)

    def _far(self, call: Call, size: int, layer: int) -> Blocked:
        """Queries in blocks, each with all columns; those of the own block are left out where it is seen anyhow."""
        where, after = call.where, -call.q.shape[2] % size
        columns, exists = self._columns(call.past)
        q = blocks(F.pad(call.q, (0, 0, 0, after)), size, 2)  # [N, H, W, K]
        query = blocks(F.pad(where.position, (0, after)), size, 1)  # [1 or B times n, W]
        count = len(q) // len(call.q)
        key = columns.position.repeat_interleave(count, 0)  # [1 or B times n, C]
        earlier = key.unsqueeze(1) // self.stride < query.unsqueeze(2) // self.stride
        mask = (earlier if self.near else key.unsqueeze(1) <= query.unsqueeze(2)) & exists.repeat_interleave(count, 0).unsqueeze(1)
        if where.document is not None and columns.document is not None:
            document = blocks(F.pad(where.document, (0, after)), size, 1)
            mask = mask & (document.unsqueeze(2) == columns.document.repeat_interleave(count, 0).unsqueeze(1))
        q, bias = with_positions(q, query, key, where, layer, longest=call.past.key.shape[2])
        bias = None if bias is None else spread(bias, len(q))[:, call.heads]
        k, v = (x.repeat_interleave(count, 0) for x in (columns.key, columns.value))
        return Blocked(q[:, call.heads], k, v, spread(mask, len(q)).unsqueeze(1), bias)

    def _is_column(self, position: Tensor) -> Tensor:
        inside = position % self.stride
        return (inside >= self.begin) & (inside < self.end)

    def _columns(self, past: KeyValue) -> tuple[KeyValue, Tensor]:
        """The C columns among the past, oldest first, and which of them exist, [1 or B, C]: C is the most that there can be."""
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
class Strided(Pattern):
    """far: i - j is a multiple of l; near: and i - l <= j <= i too. O(T l + T^2 / l): positions equal mod l are put together."""

    stride: int
    near: bool

    def sees(self, query: Tensor, key: Tensor) -> Tensor:
        far = (query - key) % self.stride == 0
        return (key <= query) & (far | (key >= query - self.stride) if self.near else far)

    def attend(self, call: Call, layer: int, drop: float) -> Tensor:
        rows, _, length, _ = call.q.shape
        far = self._classes(call, layer)
        if not self.near:
            return _declassed(attend(*far, drop), rows, length)
        distance = distances(self.stride, self.stride, call.q.device)
        near = in_blocks(call, self.stride, self.stride, (distance >= 0) & (distance <= self.stride), layer)
        scores = torch.cat([_logits(near), _turned(_logits(far), rows)], dim=-1)  # [B n, H, l, 2 l + n]
        weights = dropout(scores.softmax(-1), drop, training=True)
        to_near, to_far = weights.split((2 * self.stride, weights.shape[-1] - 2 * self.stride), dim=-1)
        of_far = _declassed(_turned(to_far, rows) @ _for_each_head(far.value, far), rows, length)
        return unblocked(to_near @ _for_each_head(near.value, near), rows, length) + of_far

    def _classes(self, call: Call, layer: int) -> Blocked:
        """The classes of equal positions mod l as rows, each with its n positions; near ones are left out where they are seen anyhow."""
        q, past, where, heads = call
        after = -q.shape[2] % self.stride
        q, k, v = (_classed(F.pad(x, (0, 0, 0, after)), self.stride, 2) for x in (q, past.key, past.value))
        position = _classed(F.pad(where.position, (0, after)), self.stride, 1)
        mask = distances(q.shape[2], 0, q.device) >= (2 if self.near else 0)
        if where.document is not None:
            document = _classed(F.pad(where.document, (0, after)), self.stride, 1)
            mask = (mask & (document.unsqueeze(2) == document.unsqueeze(1))).unsqueeze(1)
        q, bias = with_positions(q, position, position, where, layer, longest=past.key.shape[2])
        return Blocked(q[:, heads], k, v, mask, None if bias is None else spread(bias, len(q))[:, heads])


def _cut(call: Call, begin: int, end: int) -> Call:
    """The queries from `begin` to `end`, and the past up to them."""
    past, where = call.past, call.where
    documents = [None if d is None else d[:, a:end] for d, a in ((past.document, 0), (where.document, begin))]
    past = KeyValue(past.key[:, :, :end], past.value[:, :, :end], past.position[:, :end], documents[0])
    return call._replace(
        q=call.q[:, :, begin:end], past=past, where=replace(where, position=where.position[:, begin:end], document=documents[1])
    )


def _beside(one: Blocked, other: Blocked) -> Blocked:
    """The same queries with the keys of both."""
    masks = [mask.expand(len(other.mask), 1, -1, -1) for mask in (one.mask, other.mask)]
    bias = None
    if one.bias is not None and other.bias is not None:
        rows = max(len(one.bias), len(other.bias))
        bias = torch.cat([b.expand(rows, -1, -1, -1) for b in (one.bias, other.bias)], dim=-1)
    k, v = (torch.cat(pair, dim=2) for pair in ((one.key, other.key), (one.value, other.value)))
    return Blocked(one.q, k, v, torch.cat(masks, dim=-1), bias)


def _classed(x: Tensor, stride: int, dim: int) -> Tensor:
    """[B, .., n l, ..] -> [B l, .., n, ..]: row b l + r holds the positions r, r + l, r + 2 l .."""
    by_class: Tensor = x.unflatten(dim, (-1, stride))
    return by_class.movedim(dim + 1, 1).flatten(0, 1)


def _declassed(y: Tensor, rows: int, length: int) -> Tensor:
    """[B l, H, n, K] -> [B, H, T, K]."""
    by_row: Tensor = y.unflatten(0, (rows, -1))  # [B, l, H, n, K]
    return by_row.permute(0, 2, 3, 1, 4).flatten(2, 3)[:, :, :length]


def _turned(z: Tensor, rows: int) -> Tensor:
    """Between classes [B l, H, n, S] and blocks [B n, H, l, S] of the same queries, there and back."""
    by_row: Tensor = z.unflatten(0, (rows, -1))
    return by_row.transpose(1, 3).flatten(0, 1)


def _for_each_head(x: Tensor, blocked: Blocked) -> Tensor:
    """Keys or values [N, H_k, S, K], repeated for the query heads that share them."""
    return x.repeat_interleave(blocked.q.shape[1] // x.shape[1], dim=1)


def _logits(blocked: Blocked) -> Tensor:
    """[N, H, W, S], the lowest number where a key is not seen."""
    q, k, _, mask, bias = blocked
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ _for_each_head(k, blocked).transpose(-1, -2)
    scores = scores if bias is None else scores + bias.to(scores.dtype)
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
