"""How an hourglass shortens a sequence k times, and how it lengthens it again.

Group g of a sequence x holds the positions gk - k + 1 .. gk, those before the start being zeros. It is complete at position gk, and the
positions gk .. gk + k - 1 are the ones that read what becomes of it: the shift by k - 1 is the least with which none reads its own future.

    pool        p_g = the mean of the group, or W [x_{gk-k+1}; ..; x_{gk}], W [D, k D]
    upsample    u_t = z_{t // k}, or row t mod k of V z_{t // k}, V [k D, D]

Attention can follow either, each time as a block of the model with another mixer, with norm, feed-forward and residual rule of its own: p_g
looks at its group (pooled queries, unpooled keys: Funnel-Transformer, Dai et al., arXiv 2006.03236), and after u is added to
the stream, each position looks at all shortened vectors up to its own, z_0 .. z_{t // k}. So it is in section 2 of Nawrot et al. (arXiv
2110.13711; from memory), but for p_g, which in their code looks at everything up to its group's end. Positions that enter by logits do so
here as well: distances are tokens where p_g looks, and groups where positions look up.

Pooling costs O(T), looking up O(T T / k). Where nothing is pooled by a map nor attended to, no parameter is added.
"""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import SerializeAsAny, setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.models.stem import StemConfig, stream_map
from assay.nn.block import Block, BlockConfig
from assay.nn.linear import Linear
from assay.nn.mixer.attend import attend, with_positions
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import NOTHING, Extras, Mixer, Where
from assay.nn.mixer.blocks import blocks, spread, unblocked
from assay.nn.mixer.kv import KeyValue, extend
from assay.nn.norm import NormConfig
from assay.nn.position.rope import rotate


def shift(factor: int) -> int:
    """By how many positions a sequence is shifted before it is shortened: the rows of zeros in group 0."""
    return factor - 1


class AcrossConfig(AttentionConfig):
    """Attention of one sequence to another."""

    factor: int = setting(2, "positions of the longer one for each of the shorter", ge=2)
    norm: SerializeAsAny[NormConfig] | None = setting(None, "the norm of the sequence that is looked at")


class PoolConfig(AcrossConfig):
    """Pooled vectors look at their groups."""

    def build(self, width: int, layer: int = 0) -> Mixer:
        return PoolAttention(self, width, layer)


class UpsampleConfig(AcrossConfig):
    """Positions look at shortened vectors."""

    def build(self, width: int, layer: int = 0) -> Mixer:
        return UpsampleAttention(self, width, layer)


def across(block: BlockConfig, make: type[AcrossConfig], width: int, factor: int) -> BlockConfig:
    """The block with this attention for its mixer, of as many heads and as large ones. Raises ConfigError where its mixer has none."""
    mixer = block.mixer
    shared = {name: getattr(mixer, name) for name in AttentionConfig.model_fields if isinstance(mixer, AttentionConfig)}
    heads, head_size = mixer.number_of_heads(), mixer.size_of_head(width)
    if heads is None or head_size is None:
        kind = type(mixer).model_fields["kind"].default
        raise ConfigError("", f"has as many heads as block.mixer, and {kind} has none; leave it out or choose another")
    norm = block.norm if block.placement in ("pre", "sandwich") else None
    settings = {**shared, "heads": heads, "head_size": head_size, "factor": factor, "norm": norm}
    return block.model_copy(update={"mixer": make(**settings)})


class Across(Attention):
    """q = W_q x; k, v = W_k c, W_v c."""

    def __init__(self, config: AcrossConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.factor = config.factor
        self.context_norm = nn.Identity() if config.norm is None else config.norm.build(width)

    def queries(self, x: Tensor, position: Tensor, where: Where) -> Tensor:
        """[B, T, D] at [1, T] -> [B, H, T, K]."""
        q = self._heads(x, 0, self.heads)
        scaled: Tensor = self.query_scale(self._placed(q, position, where).transpose(1, 2).to(q.dtype))
        return scaled

    def key_value(self, context: Tensor, position: Tensor, where: Where) -> tuple[Tensor, Tensor]:
        """[B, S, D] at [1, S] -> keys and values [B, H_k, S, K]."""
        k, v = self._heads(self.context_norm(context), self.heads, 2 * self.key_heads).split(self.key_heads, dim=2)
        return self._placed(k, position, where).transpose(1, 2).to(v.dtype), v.transpose(1, 2)

    def _heads(self, x: Tensor, begin: int, count: int) -> Tensor:
        """Some of the heads that `project` gives, [B, S, count, K]."""
        chosen = slice(begin * self.head_size, (begin + count) * self.head_size)
        bias = None if self.project.bias is None else self.project.bias[chosen]
        return F.linear(x, self.project.weight[chosen], bias).view(*x.shape[:2], count, self.head_size)

    def _placed(self, x: Tensor, position: Tensor, where: Where) -> Tensor:
        """Heads [B, S, .., K] at [1, S], normalised and rotated as is due."""
        x = F.rms_norm(x, (self.head_size,), eps=1e-6) if self.qk_norm else x
        if where.rotation is None:
            return x
        return rotate(x, where.encoding.angles(position).to(where.rotation.of_size[self.head_size][0].dtype))


class PoolAttention(Across):
    """o_g = softmax over the k positions of group g. The state is what is looked at, [B, n, k, D]; nothing is kept."""

    bounded: ClassVar[bool] = True

    @property
    def reach(self) -> int:
        return 0

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        rows, count = x.shape[0], x.shape[1]
        end = where.position * self.factor  # [1, n] where the groups are complete
        position = end.unsqueeze(-1) + torch.arange(1 - self.factor, 1, device=x.device)  # [1, n, k]
        q = blocks(self.queries(x, end, where), 1, 2)  # [B n, H, 1, K]
        key, value = (blocks(part, self.factor, 2) for part in self.key_value(state.flatten(1, 2), position.flatten(1), where))
        q, bias = with_positions(q, end.view(-1, 1), position[0], where, self.layer, longest=self.factor, contiguous=True)
        bias = None if bias is None else spread(bias, len(q))
        everything = torch.ones(1, self.factor, dtype=torch.bool, device=x.device)
        o = attend(q, key, value, everything, bias, self.drop)
        return self.join(unblocked(o, rows, count)), None, NOTHING


class Lookup(NamedTuple):
    """What the positions of a call may look at."""

    z: Tensor  # [B, n, D], the shortened vectors of this call
    where: Where  # where they stand
    past: KeyValue | None  # of those before them


class UpsampleAttention(Across):
    """o_t = softmax over z_0 .. z_{t // k}. It is given a `Lookup` and keeps the keys and values of all z."""

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        z, there, past = state
        key, value = self.key_value(z, there.position, where)
        seen = KeyValue(key, value, there.position, None) if past is None else extend(past, key, value, there)
        group = where.position // self.factor  # [1, T]
        q = self.queries(x, group, where)
        q, bias = with_positions(q, group, seen.position, where, self.layer, longest=seen.key.shape[2])
        visible = (seen.position.unsqueeze(-2) <= group.unsqueeze(-1))[0]  # [T, S]
        return self.join(attend(q, seen.key, seen.value, visible, bias, self.drop)), None if past is None else seen, NOTHING


class Shorten(nn.Module):
    """[B, n k, D] -> [B, n, D], before the layers of the next level."""

    def __init__(self, config: StemConfig, factor: int, linear: bool, attention: Block | None) -> None:
        super().__init__()
        self.map = stream_map(factor * config.width, config.width, config) if linear else None
        self.attention = attention

    def forward(self, groups: Tensor) -> Tensor:
        """p [B, n, D] of groups [B, n, k, D]."""
        if self.map is None:
            return groups.mean(2)
        pooled: Tensor = self.map(groups.flatten(2))
        return pooled.to(groups.dtype)


class Lengthen(nn.Module):
    """[B, n, D] -> [B, n k, D], what is added to the stream after the layers of the next level."""

    def __init__(self, config: StemConfig, factor: int, linear: bool, attention: Block | None) -> None:
        super().__init__()
        self.factor, width = factor, config.width
        self.map = Linear(width, factor * width, bias=False, parts=(width,) * factor, residual=True) if linear else None
        self.attention = attention

    def forward(self, z: Tensor) -> Tensor:
        """u [B, n k, D] of shortened vectors [B, n, D]."""
        if self.map is None:
            return z.repeat_interleave(self.factor, dim=1)
        mapped: Tensor = self.map(z)
        return mapped.view(len(z), -1, z.shape[-1])
