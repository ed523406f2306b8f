"""Attention to a window of the past, each kind with another window, computed in blocks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import setting
from assay.core.types import Mean, State
from assay.errors import ConfigError
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import AuxOutputs, LayerInputs, Mixer
from assay.nn.mixer.blockwise import (
    BlockShape,
    attend_in_blocks,
    attend_to_window,
    choose_block_shape,
    merge_blocks,
    prepare_blocks,
)  # fmt: skip
from assay.nn.mixer.softmax_attention import AttentionCall, KeyValue, apply_positions, attend, extend, keep_last, mask_of_past


class LocalConfig(AttentionConfig):
    """Sliding-window attention: each position sees the W last positions, itself among them.

    Key j is visible to query i iff i - W < j <= i (Mistral counts so: Jiang et al., arXiv 2310.06825, section 2; Longformer's causal model
    has such windows too, arXiv 2004.05150). L layers see L (W - 1) + 1 positions. The state is the keys and values of the last W - 1
    positions: the rolling cache of Mistral's paper, here in order of position instead of modulo W.

    Queries are taken in blocks with the keys that any of them may see, so the cost is O(T W), never that of a T x T mask. A window W of at
    least the text gives full attention; W = 1 gives each position its own value.
    """

    kind: Literal["local"] = "local"
    window: int = setting(128, "positions that a query sees W, its own among them", alternative=3, ge=1)

    tiny: ClassVar[dict[str, Any]] = {"window": 5}

    def build(self, width: int, layer: int = 0) -> Mixer:
        return LocalAttention(self, width, layer)


class LocalAttention(Attention):
    """o_i = softmax over i - W < j <= i; the state is the keys and values of the last W - 1 positions."""

    bounded_state: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True

    def __init__(self, config: LocalConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.window = config.window

    @property
    def reach(self) -> int:
        return self.window - 1

    def unused_at_length(self, length: int) -> str | None:
        return f"a window of {self.window} holds all of a row of {length}, so this is full attention" if self.window >= length else None

    def attend(self, call: AttentionCall) -> Tensor:
        return self._attend_in_one_block(call) if call.q.shape[2] <= self.window else attend_to_window(call, self.window)

    def _attend_in_one_block(self, call: AttentionCall) -> Tensor:
        queries, keys = call.q.shape[2], call.past.key.shape[2]
        mask = mask_of_past(queries, keys, call.inputs, call.past.document)
        mask = None if mask is None else mask.triu(keys - queries - self.window + 1)
        position, past = call.inputs.position, call.past
        q, bias = apply_positions(call.q, position, past.position, call.inputs, self.layer, longest=self.window, contiguous=True)
        return attend(q, past.key, past.value, mask, bias, call.dropout_rate)


class BlockLocalConfig(AttentionConfig):
    """Block-local attention: each position sees its own block of b positions up to itself, and the whole block before it.

    Key j is visible to query i iff j <= i and floor(i / b) - floor(j / b) <= 1, so a query sees between b + 1 and 2 b keys, except in the
    first block. It is the cheapest of the exact windows: T / b products of b queries with 2 b keys, O(T b), and nothing of them is thrown
    away but what causality hides. (After the local attention of the Image Transformer, arXiv 1802.05751, section 3.2, as Tensor2Tensor has
    it for text; from memory.) L layers see L b + b - 1 positions back, at most.

    `previous=false` leaves each block to itself: j <= i in the same block. The loss is then a saw-tooth: the first position of each block
    sees nothing but itself, so the loss rises at every b-th position and falls within the block, and more layers do not help, because no
    layer looks across the border. `shift` moves the borders of every second layer (the odd ones, counted from 0) by b / 2, so that
    information can cross. With the previous block the tooth is low, yet there is one: b + 1 keys at the start of a block, 2 b at its end.

    Blocks are counted from the start of the stream, or of each document where documents are masked. Then borders differ from row to row,
    and queries are taken in blocks with the 2 b - 1 positions before them, which costs up to half as much again. The state is the open
    block and the one before it.
    """

    kind: Literal["block_local"] = "block_local"
    block: int = setting(128, "positions in a block b", alternative=3, ge=1)
    previous: bool = setting(True, "the block before is seen too", alternative=False)
    shift: bool = setting(False, "borders moved by half a block in every second layer", alternative=True)

    tiny: ClassVar[dict[str, Any]] = {"block": 4}

    def check(self, width: int) -> None:
        super().check(width)
        if self.shift and self.block == 1:
            raise ConfigError("shift", "is half a block, and a block of 1 has no half; enlarge block or leave shift out")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return BlockLocalAttention(self, width, layer)


class BlockLocalAttention(Attention):
    """o_i = softmax over j <= i of the open block and the one before it; the state is the keys and values of these two."""

    bounded_state: ClassVar[bool] = True

    def __init__(self, config: BlockLocalConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.block, self.before = config.block, config.block if config.previous else 0
        self.shift = config.block // 2 if config.shift and layer % 2 else 0

    @property
    def reach(self) -> int:
        return self.before + self.block - 1

    def last_dependent_position(self, position: int) -> int:
        return position - (position + self.shift) % self.block + self.reach

    def unused_at_length(self, length: int) -> str | None:
        if self.shift or self.block + self.before < length:
            return None
        return f"blocks of {self.block} hold all of a row of {length}, so this is full attention"

    def attend(self, call: AttentionCall) -> Tensor:
        if call.inputs.document is None and call.q.shape[2] >= self.block:
            return self._attend_aligned(call)
        return attend_in_blocks(call, choose_block_shape(call, self.reach), self._visible)  # few queries, or documents that begin anywhere

    def _attend_aligned(self, call: AttentionCall) -> Tensor:
        """Attend with [T / b, b, P + b] logits: a call that begins inside a block is filled up with queries that are dropped again."""
        inside, inputs = (call.inputs.stream_position + self.shift) % self.block, call.inputs
        inputs = replace(inputs, position=F.pad(inputs.position, (inside, 0)))
        shape = BlockShape(self.block, self.before)
        filled = call._replace(q=F.pad(call.q, (0, 0, inside, 0)), inputs=inputs)
        return attend_in_blocks(filled, shape, shape.distances(call.q.device) >= 0)[:, :, inside:]

    def _visible(self, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (key >= query - (query + self.shift) % self.block - self.before)

    def keep(self, call: AttentionCall) -> KeyValue:
        if call.inputs.document is not None:
            return keep_last(call.past, self.reach)  # in some row a block may begin with the next position
        return keep_last(call.past, self.before + (call.inputs.stream_position + call.q.shape[2] + self.shift) % self.block)


class AdaptiveSpanConfig(AttentionConfig):
    """Attention with a span that each head learns (Sukhbaatar et al., arXiv 1905.07799).

    The weights of head h fade out beyond its span z_h: with x = i - j, the distance, and R the width of the ramp,

        a_ij = m(i - j) exp(s_ij) / sum_j' m(i - j') exp(s_ij')        m(x) = clip((R + z_h - x) / R, 0, 1)

    that is, log m is added to the logits; keys with m = 0 are not seen. No key lies S or more positions back, S being the greatest span.
    The mean of z over the heads, in positions, is reported as the loss `span` of a layer, and layers add up, so that a head gives up what
    it does not use. Its weight is 2e-6 unless objective.weights.span says otherwise: that of the authors' enwik8_small.sh, whose S is 1,024
    as here. Their larger models, with S = 8,192, have 5e-7 (enwik8.sh, enwik8_large.sh, text8.sh, text8_large.sh of
    facebookresearch/adaptive-span).

    Ours differs in two ways. The paper keeps z = S u in range by clipping u after every step and begins at u = 0; here z = S
    sigmoid(theta), which needs no clipping and never loses its gradient, and begins at `initial` S. And the paper skips keys beyond the
    longest learned span; here shapes do not depend on what was learned (so that calls compile), and the cost is that of a window of S, O(T
    S), computed in blocks. The state is the keys and values of the last S - 1 positions.
    """

    kind: Literal["adaptive_span"] = "adaptive_span"
    span: int = setting(1024, "positions that a query may see S, its own among them", alternative=3, ge=1)
    ramp: int = setting(32, "positions R over which attention fades out", alternative=2, ge=1)
    initial: float = setting(0.5, "share of S that each head's span is at first", alternative=0.25, gt=0, lt=1)

    tiny: ClassVar[dict[str, Any]] = {"span": 5, "ramp": 4}

    def build(self, width: int, layer: int = 0) -> Mixer:
        return AdaptiveSpanAttention(self, width, layer)


class AdaptiveSpanAttention(Attention):
    """o_i = sum of a_ij v_j over i - S < j <= i; the state is the keys and values of the last S - 1 positions."""

    bounded_state: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    aux_loss_weights: ClassVar[Mapping[str, float]] = {"span": 2e-6}  # of enwik8_small.sh; the authors' larger models have 5e-7

    def __init__(self, config: AdaptiveSpanConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.span, self.ramp = config.span, config.ramp
        self.theta = nn.Parameter(torch.full((self.heads,), config.initial).logit())  # [H]

    @property
    def reach(self) -> int:
        return self.span - 1

    @property
    def spans(self) -> Tensor:
        """z [H], in positions."""
        return self.span * self.theta.sigmoid()

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        q, k, v = self.split(x, inputs)
        call, z = self.call(q, extend(state, k, v, inputs), inputs), self.spans
        loss = Mean(z.mean() * len(x), torch.full_like(z[0], len(x)))
        return self.join(self._attend(call, z)), None if state is None else self.keep(call), AuxOutputs({"span": loss}, {})

    def _attend(self, call: AttentionCall, z: Tensor) -> Tensor:
        shape = choose_block_shape(call, self.reach)
        distance = shape.distances(z.device)  # [W, P + W]
        blocks = prepare_blocks(call, shape, (distance >= 0) & (distance < self.span))
        fade = log_ramp(z, self.ramp, distance).unsqueeze(0)
        bias = fade if blocks.bias is None else blocks.bias + fade
        return merge_blocks(attend(*blocks._replace(bias=bias), call.dropout_rate), len(call.q), call.q.shape[2])


def log_ramp(z: Tensor, ramp: int, distance: Tensor) -> Tensor:
    """Compute log clip((R + z - x) / R, 0, 1), [H, W, S]: minus infinity, and no gradient, where it is log 0."""
    share = ((ramp + z[:, None, None] - distance) / ramp).clamp(max=1)
    return torch.where(share > 0, share, 1).log().masked_fill(share <= 0, -torch.inf)
