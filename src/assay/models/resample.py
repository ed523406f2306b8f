"""The parts that shorten the sequence of an hourglass k times, and lengthen it again.

Group g of a sequence x holds the positions gk - k + 1 .. gk, those before the start being zeros. It is complete at position gk, and the
positions gk .. gk + k - 1 read its vector z_g: the shift by k - 1 is the least with which none reads its own future.

    pool        p_g = the mean of the group, or W [x_{gk-k+1}; ..; x_{gk}], W [D, k D]
    upsample    u_t = z_{t // k}, or row t mod k of V z_{t // k}, V [k D, D]

Attention can follow either, each time as a block of the model with another mixer, with norm, feed-forward and residual rule of its own: p_g
attends to its group (pooled queries, unpooled keys: Funnel-Transformer, Dai et al., arXiv 2006.03236), and after u is added to the
stream, each position attends to all shortened vectors up to its own, z_0 .. z_{t // k}. So it is in section 2 of Nawrot et al. (arXiv
2110.13711; from memory), but for p_g, which in their code attends to everything up to its group's end. Positions that enter by logits do
so here as well: distances are tokens where p_g attends, and groups after upsampling.

Attention after pooling costs O(T), after upsampling O(T T / k). Without a linear map and without attention no parameter is added.
"""

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import SerializeAsAny, setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.models.block_model import BlockModelConfig, build_residual_projection
from assay.nn.block import Block, BlockConfig
from assay.nn.linear import Linear
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs, LayerInputs, Mixer
from assay.nn.mixer.blockwise import expand_bias, merge_blocks, split_into_blocks
from assay.nn.mixer.softmax_attention import KeyValue, apply_positions, attend, extend
from assay.nn.norm import NormConfig
from assay.nn.position.base import rotate


def shift(factor: int) -> int:
    """Return by how many positions a sequence is shifted before it is shortened: the rows of zeros in group 0."""
    return factor - 1


class CrossAttentionConfig(AttentionConfig):
    """Attention of one sequence to another."""

    factor: int = setting(2, "positions of the longer one for each of the shorter", ge=2)
    norm: SerializeAsAny[NormConfig] | None = setting(None, "the norm of the sequence that is attended to")


class PoolConfig(CrossAttentionConfig):
    """Pooled vectors attend to their groups."""

    def build(self, width: int, layer: int = 0) -> Mixer:
        return PoolAttention(self, width, layer)


class UpsampleConfig(CrossAttentionConfig):
    """Positions attend to shortened vectors."""

    def build(self, width: int, layer: int = 0) -> Mixer:
        return UpsampleAttention(self, width, layer)


CrossAttentionName = Literal["pool_attention", "upsample_attention"]
CROSS_ATTENTIONS: dict[str, type[CrossAttentionConfig]] = {"pool_attention": PoolConfig, "upsample_attention": UpsampleConfig}


def cross_attention_block(block: BlockConfig, name: CrossAttentionName, width: int, factor: int) -> BlockConfig:
    """Replace the mixer of a block by cross-attention with as many heads and as large ones. Raises ConfigError where it has no heads."""
    mixer = block.mixer
    heads, head_size = mixer.number_of_heads(), mixer.size_of_head(width)
    if heads is None or head_size is None:
        kind = type(mixer).model_fields["kind"].default
        raise ConfigError("", f"has as many heads as block.mixer, and {kind} has none; leave it out or choose another")
    shared = {key: getattr(mixer, key) for key in AttentionConfig.model_fields if isinstance(mixer, AttentionConfig)}
    norm = block.norm if block.placement in ("pre", "sandwich") else None
    settings = {**shared, "heads": heads, "head_size": head_size, "factor": factor, "norm": norm}
    return block.model_copy(update={"mixer": CROSS_ATTENTIONS[name](**settings)})


class CrossAttention(Attention):
    """q = W_q x; k, v = W_k c, W_v c."""

    def __init__(self, config: CrossAttentionConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.factor = config.factor
        self.context_norm = nn.Identity() if config.norm is None else config.norm.build(width)

    def queries(self, x: Tensor, position: Tensor, inputs: LayerInputs) -> Tensor:
        """Compute the queries [B, H, T, K] of x [B, T, D] at positions [1, T]."""
        q = self.project_heads(x, 0, self.heads)
        scaled: Tensor = self.query_scale(self._encode(q, position, inputs).transpose(1, 2).to(q.dtype))
        return scaled

    def key_value(self, context: Tensor, position: Tensor, inputs: LayerInputs) -> tuple[Tensor, Tensor]:
        """Compute keys and values [B, H_k, S, K] of context [B, S, D] at positions [1, S]."""
        k, v = self.project_heads(self.context_norm(context), self.heads, 2 * self.key_heads).split(self.key_heads, dim=2)
        return self._encode(k, position, inputs).transpose(1, 2).to(v.dtype), v.transpose(1, 2)

    def _encode(self, x: Tensor, position: Tensor, inputs: LayerInputs) -> Tensor:
        """Normalise and rotate heads [B, S, .., K] at positions [1, S], where the settings ask for it."""
        return rotate(self.normalise(x), self.rotation_at(position, inputs))


class PoolAttention(CrossAttention):
    """o_g = softmax over the k positions of group g. The state is what it attends to, [B, n, k, D]; nothing is kept."""

    bounded_state: ClassVar[bool] = True

    @property
    def reach(self) -> int:
        return 0

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        rows, count = x.shape[0], x.shape[1]
        end = inputs.position * self.factor  # [1, n] where the groups are complete
        position = end.unsqueeze(-1) + torch.arange(1 - self.factor, 1, device=x.device)  # [1, n, k]
        q = split_into_blocks(self.queries(x, end, inputs), 1, 2)  # [B n, H, 1, K]
        key, value = (split_into_blocks(part, self.factor, 2) for part in self.key_value(state.flatten(1, 2), position.flatten(1), inputs))
        q, bias = apply_positions(q, end.view(-1, 1), position[0], inputs, self.layer, longest=self.factor, contiguous=True)
        everything = torch.ones(1, self.factor, dtype=torch.bool, device=x.device)
        o = attend(q, key, value, everything, expand_bias(bias, len(q)), self.dropout.rate)
        return self.join(merge_blocks(o, rows, count)), None, NO_AUX_OUTPUTS


class CrossAttentionInputs(NamedTuple):
    """What the positions of a call attend to."""

    z: Tensor  # [B, n, D], the shortened vectors of this call
    inputs: LayerInputs  # where they stand
    past: KeyValue | None  # of those before them


class UpsampleAttention(CrossAttention):
    """o_t = softmax over z_0 .. z_{t // k}. Its state is `CrossAttentionInputs`; it keeps the keys and values of all z."""

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        z, inputs_of_z, past = state
        key, value = self.key_value(z, inputs_of_z.position, inputs)
        seen = extend(past, key, value, inputs_of_z)
        group = inputs.position // self.factor  # [1, T]
        q = self.queries(x, group, inputs)
        q, bias = apply_positions(q, group, seen.position, inputs, self.layer, longest=seen.key.shape[2])
        visible = (seen.position.unsqueeze(-2) <= group.unsqueeze(-1))[0]  # [T, S]
        return self.join(attend(q, seen.key, seen.value, visible, bias, self.dropout.rate)), None if past is None else seen, NO_AUX_OUTPUTS


class Pooling(nn.Module):
    """p [B, n, D] of groups [B, n, k, D], before the layers of the next level."""

    def __init__(self, config: BlockModelConfig, factor: int, linear: bool, attention: Block | None) -> None:
        super().__init__()
        self.map = build_residual_projection(factor * config.width, config.width, config) if linear else None
        self.attention = attention

    def forward(self, groups: Tensor) -> Tensor:
        if self.map is None:
            return groups.mean(2)
        pooled: Tensor = self.map(groups.flatten(2))
        return pooled.to(groups.dtype)


class Upsampling(nn.Module):
    """u [B, n k, D] of shortened vectors z [B, n, D], which is added to the stream after the layers of the next level."""

    def __init__(self, config: BlockModelConfig, factor: int, linear: bool, attention: Block | None) -> None:
        super().__init__()
        self.factor, width = factor, config.width
        self.map = Linear(width, factor * width, bias=False, parts=(width,) * factor, residual=True) if linear else None
        self.attention = attention

    def forward(self, z: Tensor) -> Tensor:
        if self.map is None:
            return z.repeat_interleave(self.factor, dim=1)
        mapped: Tensor = self.map(z)
        return mapped.view(len(z), -1, z.shape[-1])
