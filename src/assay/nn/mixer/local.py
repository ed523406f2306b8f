"""Sliding-window attention: each position sees the W last positions, itself among them.

Key j is visible to query i iff i - W < j <= i (Mistral counts so: Jiang et al., arXiv 2310.06825, section 2; Longformer's causal model has
such windows too, arXiv 2004.05150). L layers see L (W - 1) + 1 positions. What is kept between calls are the keys and values of the last
W - 1 positions: the rolling cache of Mistral's paper, here in order of position instead of modulo W.

Queries are taken in blocks with the keys that any of them may see, so the cost is O(T W), never that of a T x T mask. A window W of at
least the text gives full attention; W = 1 gives each position its own value.
"""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.core.types import State
from assay.nn.mixer.attend import attend, causal_mask, with_positions
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import NOTHING, Extras, Mixer, Where
from assay.nn.mixer.blocks import Call, attend_in_blocks
from assay.nn.mixer.kv import KeyValue, extend, last

BLOCK = 128  # queries in a block, at most: more of them see more keys in vain


class LocalConfig(AttentionConfig):
    """Softmax attention over a sliding window."""

    kind: Literal["local"] = "local"
    window: int = setting(128, "positions that a query sees W, its own among them", other=3, ge=1)

    tiny: ClassVar[dict[str, Any]] = {"window": 5}

    def build(self, width: int, layer: int = 0) -> Mixer:
        return Local(self, width, layer)


class Local(Attention):
    """o_i = softmax over i - W < j <= i; the state is what is kept of the last W - 1 positions."""

    bounded: ClassVar[bool] = True
    stationary: ClassVar[bool] = True

    def __init__(self, config: LocalConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.window = config.window

    @property
    def reach(self) -> int:
        return self.window - 1

    def idle_in(self, length: int) -> str | None:
        return f"a window of {self.window} holds all of a row of {length}, so this is full attention" if self.window >= length else None

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        q, k, v = self.split(x, where)
        past = KeyValue(k, v, where.position, where.document) if state is None else extend(state, k, v, where)
        o = self._one_block(q, past, where) if q.shape[2] <= self.window else self._blocks(q, past, where)
        return self.join(o), None if state is None else last(past, self.window - 1), NOTHING

    def _one_block(self, q: Tensor, past: KeyValue, where: Where) -> Tensor:
        queries, keys = q.shape[2], past.key.shape[2]
        mask = None
        if keys > queries or past.document is not None:
            mask = causal_mask(queries, keys, where.document, past.document, q.device)
            mask = mask & torch.ones(queries, keys, device=q.device).bool().triu(keys - queries - self.window + 1)
        q, bias = with_positions(q, where.position, past.position, where, self.layer, longest=self.window, contiguous=True)
        return attend(q, past.key, past.value, mask, bias, self.drop)

    def _blocks(self, q: Tensor, past: KeyValue, where: Where) -> Tensor:
        size, before = min(self.window, BLOCK), self.window - 1
        seen = torch.ones(size, before + size, device=q.device).bool()
        return attend_in_blocks(Call(q, past, where), size, before, seen.tril(before).triu(), self.layer, self.drop)
