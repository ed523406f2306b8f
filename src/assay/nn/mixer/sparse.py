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

What cannot be is refused, as there: a summary and stripes wider than the stride (vertsize <= stride in blocks), heads that stripes do not
divide (num_verts). So T = 256, blocksize 32, local_attn_ctx 32, vertsize 64, num_verts 16, n_bctx 2, as in a public experiment, is no
model: its summary is 2048 wide in a stride of 32, 16 stripes do not divide 8 heads, and n_bctx is 8.

A row is computed in blocks (`sparse_patterns.py`). Relative positions cost a T x T product still, as they look up distances. A call that
has a past takes a mask over all keys. The state is all keys and values, or those of the reach where the layer has one: what columns alone
could still be read of it is not sorted out.
"""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.mixer.attend import attend, with_positions
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import NOTHING, Extras, Mixer, Where
from assay.nn.mixer.blocks import Call
from assay.nn.mixer.kv import KeyValue, extend, last
from assay.nn.mixer.sparse_patterns import Band, Fixed, Pattern, Strided


class SparseConfig(AttentionConfig):
    """Softmax attention over fixed patterns of the past."""

    kind: Literal["sparse"] = "sparse"
    pattern: Literal["fixed", "strided", "local", "all"] = setting("fixed", "which positions are seen", other="strided")
    stride: int | None = setting(None, "l; the window of local (absent: 128, and with all)", other=3, ge=1)
    summary: int | None = setting(None, "c: the last positions of each block, of fixed (absent: a quarter of the stride)", other=2, ge=1)
    stripes: int = setting(1, "different summaries over the heads, of fixed", other=2, ge=1)
    integration: Literal["merged", "heads", "layers"] = setting(
        "merged", "both sets in a head, split over heads, or alternating over layers", other="heads"
    )

    tiny: ClassVar[dict[str, Any]] = {"stride": 4}

    def check(self, width: int) -> None:
        super().check(width)
        if self.pattern == "all" and self.stride is not None:
            raise ConfigError("stride", "is not for pattern all, which sees everything; leave it out or choose another pattern")
        if self.pattern != "fixed" and (self.summary is not None or self.stripes > 1):
            name = "stripes" if self.summary is None else "summary"
            raise ConfigError(name, f"is for pattern fixed, and pattern {self.pattern} has no summaries; leave it out")
        if self.pattern in ("local", "all") and self.integration != "merged":
            raise ConfigError("integration", f"is for two sets, and pattern {self.pattern} is one; leave it out")
        if self.pattern == "fixed":
            self._check_stripes()
        if self.integration == "heads" and self.heads % 2:
            raise ConfigError("integration", f"splits the heads in halves, and there are {self.heads}; choose an even number")

    def _check_stripes(self) -> None:
        l, c = self.sizes()  # noqa: E741
        if self.stripes * c > l:
            what = f"{self.stripes} stripes of {c} positions do" if self.stripes > 1 else f"a summary of {c} positions does"
            raise ConfigError("summary", f"{what} not fit into a stride of {l}; narrow the summary or lengthen the stride")
        heads = self.heads // 2 if self.integration == "heads" else self.heads
        if heads % self.stripes:
            raise ConfigError(
                "stripes", f"{self.stripes} of them do not divide the {heads} heads that see summaries; choose another number"
            )

    def sizes(self) -> tuple[int, int]:
        """l and c."""
        stride = self.stride or 128
        return stride, self.summary or -(-stride // 4)

    def build(self, width: int, layer: int = 0) -> Mixer:
        return Sparse(self, width, layer)


Seen = list[tuple[slice, Pattern]]  # query heads, and what they see


def patterns(config: SparseConfig, layer: int) -> Seen:
    """What each head of a layer sees; nothing where it is all of the past."""
    l, c = config.sizes()  # noqa: E741
    everyone, half = slice(0, config.heads), config.heads // 2
    if config.pattern == "all":
        return []
    if config.pattern == "local":
        return [(everyone, Band(l))]

    def near() -> Pattern:
        return Band(l + 1) if config.pattern == "strided" else Fixed(l, 0, 0, near=True, far=False)

    def far(heads: slice, merged: bool) -> Seen:
        if config.pattern == "strided":
            return [(heads, Strided(l, merged))]
        s = config.stripes
        return [(slice(heads.start + m, heads.stop, s), Fixed(l, l - (m + 1) * c, l - m * c, merged, far=True)) for m in range(s)]

    if config.integration == "heads":
        return [(slice(0, half), near()), *far(slice(half, config.heads), merged=False)]
    if config.integration == "layers":
        return far(everyone, merged=False) if layer % 2 else [(everyone, near())]
    return far(everyone, merged=True)


class Sparse(Attention):
    """o_i = softmax over the pattern of each head."""

    def __init__(self, config: SparseConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.patterns, self.stride = patterns(config, layer), config.sizes()[0]

    @property
    def reach(self) -> int | None:
        reaches = [pattern.reach for _, pattern in self.patterns]
        return max((reach for reach in reaches if reach is not None), default=None) if None not in reaches else None

    def last_reader(self, position: int) -> int | None:
        readers = [pattern.last_reader(position) for _, pattern in self.patterns]
        return max((reader for reader in readers if reader is not None), default=None) if None not in readers else None

    def idle_in(self, length: int) -> str | None:
        return (
            f"a stride of {self.stride} is no shorter than a row of {length}, so no pattern comes about"
            if self.patterns and self.stride >= length
            else None
        )

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        q, k, v = self.split(x, where)
        if not self.patterns:
            o, state = self.attend_to_past(q, k, v, state, where)
            return self.join(o), state, NOTHING
        past = KeyValue(k, v, where.position, where.document) if state is None else extend(state, k, v, where)
        length = q.shape[2]
        blockwise = where.stream == 0 and past.key.shape[2] == length > self.stride
        o = self._in_blocks(Call(q, past, where)) if blockwise else self._masked(Call(q, past, where))
        if state is not None:
            state = past if self.reach is None else last(past, self.reach)
        return self.join(o), state, NOTHING

    def _in_blocks(self, call: Call) -> Tensor:
        if len(self.patterns) == 1:
            return self.patterns[0][1].attend(call, self.layer, self.drop)
        o = torch.empty_like(call.q)
        k, v = (x.repeat_interleave(self.heads // self.key_heads, dim=1) for x in (call.past.key, call.past.value))
        for heads, pattern in self.patterns:
            past = call.past._replace(key=k[:, heads], value=v[:, heads])
            o[:, heads] = pattern.attend(call._replace(past=past, heads=heads), self.layer, self.drop)
        return o

    def _masked(self, call: Call) -> Tensor:
        q, past, where, _ = call
        query, key = where.position.unsqueeze(-1), past.position.unsqueeze(-2)
        mask = torch.stack([pattern.sees(query, key) for _, pattern in self.patterns], dim=1)  # [1 or B, patterns, T, S]
        if where.document is not None and past.document is not None:
            mask = mask & (where.document.unsqueeze(-1) == past.document.unsqueeze(-2)).unsqueeze(1)
        if len(self.patterns) > 1:
            which = {head: index for index, (heads, _) in enumerate(self.patterns) for head in range(self.heads)[heads]}
            mask = mask[:, [which[head] for head in range(self.heads)]]
        q, bias = with_positions(q, where.position, past.position, where, self.layer, longest=past.key.shape[2], contiguous=True)
        return attend(q, past.key, past.value, mask, bias, self.drop)
