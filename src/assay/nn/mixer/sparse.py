"""Sparse attention in fixed patterns (Child et al., arXiv 1904.10509): O(T sqrt(T)) where the stride is near sqrt(T).

A pattern is one or two sets of positions (section 4.3); with stride l, summary width c, and j <= i always (i and j from 0),

    strided   A1 = {j: i - l <= j}                      A2 = {j: (i - j) mod l = 0}
    fixed     A1 = {j: floor(j / l) = floor(i / l)}     A2 = {j: l - c <= j mod l}
    local     A1 = {j: i - l < j}
    all       A1 = {j}

(the paper lets j mod l of `fixed` run to l, which is l - 1 counted from 0). Two sets meet in one of three ways (section 5.1): `merged`, a
head sees both; `heads`, the first half of the heads sees A1, the others A2; `layers`, layers 0, 2, .. see A1, layers 1, 3, .. A2. The
paper's text models have `fixed` and `merged`, l = 128 and c = 32 (strided suits images, and is far behind on text). `stripes` s gives the
heads of `fixed` s different summaries: head h takes the positions l - (m + 1) c <= j mod l < l - m c with m = h mod s, from the end of the
block backwards.

The names in OpenAI's release (`sparse_attention`, `blocksparse`) and in the ports of it that people have:

    theirs                              here           translation
    attn_mode, attn_type                pattern        the same four words. Their `strided` is A2 alone, here with A1 as the paper has it
    local_attn_ctx                      stride         the same number: l of strided and fixed, the window of local
    vertsize                            summary        vertsize * blocksize: theirs counts blocks of scores, ours positions
    num_verts                           stripes        the same number
    blocksize, sparseblocksize          -              none: sets hold to the position, and rows may have any length
    n_bctx                              -              none: it is T / blocksize, derived and never free
    -                                   integration    their `fixed` is merged

As there, impossible settings are refused: a summary and stripes wider than the stride (vertsize <= stride in blocks), heads that stripes do
not divide (num_verts). So T = 256, blocksize 32, local_attn_ctx 32, vertsize 64, num_verts 16, n_bctx 2, as in a public experiment, is no
model: its summary is 2048 wide in a stride of 32, 16 stripes do not divide 8 heads, and n_bctx is 8.

A row is computed in blocks (`sparse_patterns.py`). Relative positions cost a T x T product still, as they look up distances. A call that
has a past takes a mask over all keys. The state is all keys and values, or those of the reach where the layer has one, also where later
queries will only see its columns.
"""

from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import Config, setting
from assay.errors import ConfigError
from assay.nn.mixer.attention import Attention, AttentionConfig, attend_to_past
from assay.nn.mixer.base import Mixer
from assay.nn.mixer.softmax_attention import AttentionCall, apply_positions, attend, repeat_heads
from assay.nn.mixer.sparse_patterns import BandPattern, FixedPattern, HeadPattern, Pattern, StridedPattern


class FixedPatternConfig(Config):
    """The settings that only the pattern `fixed` has: the columns of each block that all later positions see."""

    summary: int | None = setting(None, "c: the last positions of a block, of fixed (absent: a quarter of the stride)", alternative=2, ge=1)
    stripes: int = setting(1, "different summaries over the heads, of fixed", alternative=2, ge=1)

    def check_columns(self, stride: int, heads: int) -> None:
        """Raise ConfigError where the summaries do not fit into a block, or are not shared equally by the heads that see them."""
        columns = self.stripes * self._summary_width(stride)
        if columns > stride:
            what = f"{self.stripes} stripes of {columns // self.stripes} positions do"
            what = what if self.stripes > 1 else f"a summary of {columns} positions does"
            raise ConfigError("summary", f"{what} not fit into a stride of {stride}; narrow the summary or lengthen the stride")
        if heads % self.stripes:
            reason = f"{self.stripes} of them do not divide the {heads} heads that see summaries; choose another number"
            raise ConfigError("stripes", reason)

    def column_patterns(self, stride: int, heads: slice, near: bool) -> list[HeadPattern]:
        """List the columns that each of these heads sees, with its own block where `near`."""
        ends = [stride - stripe * self._summary_width(stride) for stripe in range(self.stripes + 1)]
        return [
            HeadPattern(slice(heads.start + stripe, heads.stop, self.stripes), FixedPattern(stride, begin, end, near, far=True))
            for stripe, (end, begin) in enumerate(pairwise(ends))
        ]

    def _summary_width(self, stride: int) -> int:
        return self.summary or -(-stride // 4)


class SparseConfig(FixedPatternConfig, AttentionConfig):
    """Softmax attention over fixed patterns of the past."""

    kind: Literal["sparse"] = "sparse"
    pattern: Literal["fixed", "strided", "local", "all"] = setting("fixed", "which positions are seen", alternative="strided")
    stride: int | None = setting(None, "l; the window of local (absent: 128, and with all)", alternative=3, ge=1)
    integration: Literal["merged", "heads", "layers"] = setting(
        "merged", "both sets in a head, split over heads, or alternating over layers", alternative="heads"
    )

    tiny: ClassVar[dict[str, Any]] = {"stride": 4}

    @property
    def period(self) -> int:
        """l: the stride as set, or 128."""
        return self.stride or 128

    def check(self, width: int) -> None:
        super().check(width)
        if self.pattern == "all" and self.stride is not None:
            raise ConfigError("stride", "is not for pattern all, which sees everything; leave it out or choose another pattern")
        if self.pattern == "fixed":
            self.check_columns(self.period, self.heads // 2 if self.integration == "heads" else self.heads)
        elif self.summary is not None or self.stripes > 1:
            name = "stripes" if self.summary is None else "summary"
            raise ConfigError(name, f"is for pattern fixed, and pattern {self.pattern} has no summaries; leave it out")
        if self.pattern in ("local", "all") and self.integration != "merged":
            raise ConfigError("integration", f"is for two sets, and pattern {self.pattern} is one; leave it out")
        if self.integration == "heads" and self.heads % 2:
            raise ConfigError("integration", f"splits the heads in halves, and there are {self.heads}; choose an even number")

    def head_patterns(self, layer: int) -> list[HeadPattern]:
        """List the patterns of the heads of a layer; none where they see all of the past."""
        every_head, half, l = slice(0, self.heads), self.heads // 2, self.period  # noqa: E741
        if self.pattern == "all":
            return []
        if self.pattern == "local":
            return [HeadPattern(every_head, BandPattern(l))]
        near: Pattern = BandPattern(l + 1) if self.pattern == "strided" else FixedPattern(l, 0, 0, near=True, far=False)
        if self.integration == "heads":
            return [HeadPattern(slice(0, half), near), *self._far_patterns(slice(half, self.heads), near=False)]
        if self.integration == "layers" and layer % 2 == 0:
            return [HeadPattern(every_head, near)]
        return self._far_patterns(every_head, near=self.integration == "merged")

    def _far_patterns(self, heads: slice, near: bool) -> list[HeadPattern]:
        if self.pattern == "strided":
            return [HeadPattern(heads, StridedPattern(self.period, near))]
        return self.column_patterns(self.period, heads, near)

    def build(self, width: int, layer: int = 0) -> Mixer:
        return SparseAttention(self, width, layer)


class SparseAttention(Attention):
    """o_i = softmax over the pattern of each head."""

    def __init__(self, config: SparseConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.patterns, self.stride = config.head_patterns(layer), config.period

    @property
    def reach(self) -> int | None:
        reaches = [pattern.reach for _, pattern in self.patterns]
        return max((reach for reach in reaches if reach is not None), default=None) if None not in reaches else None

    def last_dependent_position(self, position: int) -> int | None:
        readers = [pattern.last_dependent_position(position) for _, pattern in self.patterns]
        return max((reader for reader in readers if reader is not None), default=None) if None not in readers else None

    def unused_at_length(self, length: int) -> str | None:
        if not self.patterns or self.stride < length:
            return None
        return f"a stride of {self.stride} is no shorter than a row of {length}, so no pattern comes about"

    def attend(self, call: AttentionCall) -> Tensor:
        if not self.patterns:
            return attend_to_past(call)
        blockwise = call.inputs.stream_position == 0 and call.past.key.shape[2] == call.q.shape[2] > self.stride
        return self._attend_in_blocks(call) if blockwise else self._attend_masked(call)

    def _attend_in_blocks(self, call: AttentionCall) -> Tensor:
        if len(self.patterns) == 1:
            return self.patterns[0].pattern.attend(call)
        o = torch.empty_like(call.q)
        k, v = (repeat_heads(x, self.heads) for x in (call.past.key, call.past.value))
        for heads, pattern in self.patterns:
            past = call.past._replace(key=k[:, heads], value=v[:, heads])
            o[:, heads] = pattern.attend(call._replace(past=past, heads=heads))
        return o

    def _attend_masked(self, call: AttentionCall) -> Tensor:
        past, inputs = call.past, call.inputs
        query, key = inputs.position.unsqueeze(-1), past.position.unsqueeze(-2)
        mask = torch.stack([pattern.visibility_mask(query, key) for _, pattern in self.patterns], dim=1)  # [1 or B, patterns, T, S]
        if inputs.document is not None and past.document is not None:
            mask = mask & (inputs.document.unsqueeze(-1) == past.document.unsqueeze(-2)).unsqueeze(1)
        if len(self.patterns) > 1:
            pattern_of = {head: index for index, (heads, _) in enumerate(self.patterns) for head in range(self.heads)[heads]}
            mask = mask[:, [pattern_of[head] for head in range(self.heads)]]
        q, bias = apply_positions(call.q, inputs.position, past.position, inputs, self.layer, longest=past.key.shape[2], contiguous=True)
        return attend(q, past.key, past.value, mask, bias, call.dropout_rate)
