"""Block-local attention: each position sees its own block of b positions up to itself, and the whole block before it.

Key j is visible to query i iff j <= i and floor(i / b) - floor(j / b) <= 1, so a query sees between b + 1 and 2 b keys, except in the first
block. It is the cheapest of the exact windows: T / b products of b queries with 2 b keys, O(T b), and nothing of them is thrown away but
what causality hides. (After the local attention of the Image Transformer, arXiv 1802.05751, section 3.2, as Tensor2Tensor has it for text;
from memory.) L layers see L b + b - 1 positions back, at most.

`previous=false` leaves each block to itself: j <= i in the same block. Mind the saw-tooth: the first position of each block sees nothing
but itself, so the loss rises at every b-th position and falls within the block, and more layers do not help, because no layer looks across
the border. `shift` moves the borders of every second layer (the odd ones, counted from 0) by b / 2, so that information can cross. With the
previous block the tooth is low, yet there is one: b + 1 keys at the start of a block, 2 b at its end.

Blocks are counted from the start of the stream, or of each document where documents are masked. Then borders differ from row to row, and
queries are taken in blocks with the 2 b - 1 positions before them, which costs up to half as much again. What is kept between calls is the
open block and the one before it.
"""

from dataclasses import replace
from typing import Any, ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import NOTHING, Extras, Mixer, Where
from assay.nn.mixer.blocks import Call, attend_in_blocks, distances, size_and_before
from assay.nn.mixer.kv import KeyValue, extend, last


class BlockLocalConfig(AttentionConfig):
    """Softmax attention over the own block and the one before it."""

    kind: Literal["block_local"] = "block_local"
    block: int = setting(128, "positions in a block b", other=3, ge=1)
    previous: bool = setting(True, "the block before is seen too", other=False)
    shift: bool = setting(False, "borders moved by half a block in every second layer", other=True)

    tiny: ClassVar[dict[str, Any]] = {"block": 4}

    def check(self, width: int) -> None:
        super().check(width)
        if self.shift and self.block == 1:
            raise ConfigError("shift", "is half a block, and a block of 1 has no half; enlarge block or leave shift out")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return BlockLocal(self, width, layer)


class BlockLocal(Attention):
    """o_i = softmax over j <= i of the open block and the one before it; the state is what is kept of these two."""

    bounded: ClassVar[bool] = True

    def __init__(self, config: BlockLocalConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.block, self.before = config.block, config.block if config.previous else 0
        self.shift = config.block // 2 if config.shift and layer % 2 else 0

    @property
    def reach(self) -> int:
        return self.before + self.block - 1

    def last_reader(self, position: int) -> int:
        return position - (position + self.shift) % self.block + self.reach

    def idle_in(self, length: int) -> str | None:
        return (
            f"blocks of {self.block} hold all of a row of {length}, so this is full attention"
            if self.block + self.before >= length and not self.shift
            else None
        )

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        q, k, v = self.split(x, where)
        call = Call(q, KeyValue(k, v, where.position, where.document) if state is None else extend(state, k, v, where), where)
        o = self._aligned(call) if where.document is None and q.shape[2] >= self.block else self._by_position(call)
        return self.join(o), None if state is None else last(call.past, self._kept(call)), NOTHING

    def _aligned(self, call: Call) -> Tensor:
        """[T / b, b, P + b] logits: the call begins in the middle of a block, so queries are put before it that nobody asked for."""
        q, _, where, _ = call
        inside = (where.stream + self.shift) % self.block
        call = call._replace(q=F.pad(q, (0, 0, inside, 0)), where=replace(where, position=F.pad(where.position, (inside, 0))))
        visible = distances(self.block, self.before, q.device) >= 0
        return attend_in_blocks(call, self.block, self.before, visible, self.layer, self.drop)[:, :, inside:]

    def _by_position(self, call: Call) -> Tensor:
        """Few queries, or documents that begin anywhere."""

        def visible(query: Tensor, key: Tensor) -> Tensor:
            return (key <= query) & (key >= query - (query + self.shift) % self.block - self.before)

        return attend_in_blocks(call, *size_and_before(call, self.reach), visible, self.layer, self.drop)

    def _kept(self, call: Call) -> int:
        """How many of the last positions the next call can see."""
        if call.where.document is not None:
            return self.reach  # in some row a block may begin with the next position
        return self.before + (call.where.stream + call.q.shape[2] + self.shift) % self.block
