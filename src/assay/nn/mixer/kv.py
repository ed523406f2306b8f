"""The state of attention: the keys and values of the past."""

from typing import NamedTuple

import torch
from torch import Tensor

from assay.nn.mixer.base import Where, empty


class KeyValue(NamedTuple):
    """What attention keeps of S past positions."""

    key: Tensor  # [B, H_k, S, K], rotated where positions rotate
    value: Tensor  # [B, H_k, S, K]
    position: Tensor  # [1 or B, S]
    document: Tensor | None  # [B, S]; None where documents are not masked


def no_past(batch: int, heads: int, head_size: int, like: Tensor) -> KeyValue:
    """The state before position 0. The first call decides whether documents are masked."""
    kv = empty(like, batch, heads, 0, head_size)
    return KeyValue(kv, kv, empty(like, 1, 0, dtype=torch.int64), None)


def last(past: KeyValue, count: int) -> KeyValue:
    """What is kept of the last `count` positions."""
    begin = max(0, past.key.shape[2] - count)
    document = None if past.document is None else past.document[:, begin:]
    return KeyValue(past.key[:, :, begin:], past.value[:, :, begin:], past.position[:, begin:], document)


def extend(past: KeyValue, key: Tensor, value: Tensor, where: Where) -> KeyValue:
    """The past with T more positions; the past itself stays as it is."""
    if past.key.shape[2] == 0:
        return KeyValue(key, value, where.position, where.document)
    rows = max(past.position.shape[0], where.position.shape[0])
    position = torch.cat([p.expand(rows, -1) for p in (past.position, where.position)], dim=1)
    document = None
    if where.document is not None:
        assert past.document is not None, "documents were not masked when this state began"
        document = torch.cat([past.document, where.document], dim=1)
    return KeyValue(torch.cat([past.key, key], dim=2), torch.cat([past.value, value], dim=2), position, document)
