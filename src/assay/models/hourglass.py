"""The hourglass: most layers work on a sequence that is k times shorter (Nawrot et al., arXiv 2110.13711).

    x  <- layers(x)                          at full length
    z   = hourglass(pool(shift(x)))          k positions become one; the same once more, if levels are nested
    x  <- x + upsample(z)                    each position reads z_{t // k}
    x  <- layers(x)

`hierarchy` is the paper's notation: "5@1 24@3 5@1" are 5 layers at full length, 24 at a third of it and 5 at full length again. Each level
shifts by its own k - 1. `resample.py` pools and upsamples. The positions of a level are the numbers of its groups: rotary angles,
biases and distances count groups (the released code counts tokens). What layers hand to later ones (x0, the first layer's values) begins
anew in each level: x0 is the level's input.

This is the paper's algorithm 1 (from memory). The released code differs: it has a LayerNorm at the end of each stack and after upsampling,
and with attention it adds x twice. Where no factor changes nothing is pooled, so "9@1" and "2@1 5@1 2@1" are plain stacks.

Group g is complete at position gk, and every position reads a complete group, so a text can be continued anywhere: the state is the k - 1
or fewer rows of the group that is not complete, the last z, the state of the layers, and with attention the keys and values of all z. The
shortened layers run in the calls that complete a group, one in k when one token follows another. A layer at factor f costs an f-th, its
attention an f^2-th. Documents inside a row share groups, so they cannot be isolated.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import Output, State
from assay.errors import ConfigError, prefix_errors
from assay.models.base import Model
from assay.models.block_model import BlockModel, BlockModelConfig, last_dependent_position
from assay.models.forward_pass import START, BlockModelState, ForwardPass
from assay.models.hierarchy import Stage, merge_neighbours, parse_hierarchy
from assay.models.resample import CrossAttentionInputs, CrossAttentionName, Pooling, Upsampling, cross_attention_block, shift
from assay.nn.block import Block, BlockConfig
from assay.nn.mixer.base import LayerInputs


class HourglassConfig(BlockModelConfig):
    """Layers on a shortened sequence between layers at full length."""

    kind: Literal["hourglass"] = "hourglass"
    hierarchy: str = setting(
        "1@1 2@3 1@1", "stages of layers@factor, 2@3 being two layers at a third of the length", alternative="1@1 1@2 1@1", affects="cost"
    )
    pattern: tuple[Any, ...] = setting(
        (), "overrides of the block, one for each stage; a bare word is a mixer", alternative=({"feedforward": "glu"}, {}, {})
    )
    pool: Literal["average", "linear"] = setting("average", "how k positions become one: mean or map", alternative="linear", affects="cost")
    upsample: Literal["repeat", "linear"] = setting("repeat", "how one becomes k: repeated or mapped", alternative="linear", affects="cost")
    pool_attention: bool = setting(False, "pooled vectors attend to their groups, in an extra block", alternative=True, affects="cost")
    upsample_attention: bool = setting(False, "positions attend to all z so far, in an extra block", alternative=True, affects="cost")

    tiny: ClassVar[dict[str, Any]] = {"hierarchy": "1@1 1@3 1@1"}

    def stages(self) -> tuple[Stage, ...]:
        """Make the stages in the order in which a text passes them, one for each length. Raises ConfigError with the place."""
        with prefix_errors("hierarchy"):
            sizes = parse_hierarchy(self.hierarchy)
        if len(self.pattern) not in (0, len(sizes)):
            raise ConfigError("pattern", f"has {len(self.pattern)} entries for {len(sizes)} stages; give one for each")
        changed = [self.override_block(change, f"pattern.{index}") for index, change in enumerate(self.pattern)]
        return merge_neighbours(sizes, changed or [self.block] * len(sizes))

    def layers(self) -> tuple[BlockConfig, ...]:
        """Make the block of every layer in the order in which a text passes them, with those that pool and upsample."""
        return tuple(self._layers(self.stages()))

    def _layers(self, stages: Sequence[Stage]) -> list[BlockConfig]:
        if len(stages) == 1:
            return list(stages[0].layers)
        factor = stages[1].factor // stages[0].factor
        down, up = self._cross_attention("pool_attention", factor), self._cross_attention("upsample_attention", factor)
        return [*stages[0].layers, *down, *self._layers(stages[1:-1]), *up, *stages[-1].layers]

    def _cross_attention(self, name: CrossAttentionName, factor: int) -> list[BlockConfig]:
        """Make the block in which two neighbouring levels attend to each other, if this setting asks for one."""
        if not getattr(self, name):
            return []
        with prefix_errors(name):
            return [cross_attention_block(self.block, name, self.width, factor)]

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        for layer in self.layers():
            self.check_block(layer, self.width)
        stages = self.stages()
        if len(stages) == 1:
            for name in ("pool", "upsample", "pool_attention", "upsample_attention"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ConfigError(name, "is not used, as no stage of the hierarchy is shorter than the text; leave it out")
        elif self.block.placement == "post" and not stages[-1].layers and not self.upsample_attention:
            raise ConfigError("hierarchy", "ends without a layer, in whose norm block.placement = 'post' has the model end; add one")

    def build_module(self, vocabulary: int) -> Model:
        return Hourglass(self, vocabulary)


class InnerLevelState(NamedTuple):
    """What is kept between two levels."""

    partial_group: Tensor  # [B, < k, D] of the group that is not complete
    last_shortened: Tensor  # [B, 1, D] z of the last complete group
    level: "LevelState"
    attention_cache: State  # keys and values of all z, where positions attend to them


class LevelState(NamedTuple):
    """What is kept of a level and of those below it."""

    before: Sequence[State]
    inner: InnerLevelState | None
    after: Sequence[State]


class Level(nn.Module):
    """The layers at one length, and between them, if there are any, the levels below."""

    def __init__(self, config: HourglassConfig, stages: Sequence[Stage], blocks: Iterator[Block]) -> None:
        super().__init__()
        self.before = nn.ModuleList(next(blocks) for _ in stages[0].layers)
        self.inner = InnerLevel(config, stages, blocks) if len(stages) > 1 else None
        self.after = nn.ModuleList(next(blocks) for _ in (stages[-1].layers if len(stages) > 1 else ()))

    def last_dependent_position(self, position: int) -> int | None:
        """Compute the last position of this level that depends on the input at `position`; None: no limit."""
        reader = last_dependent_position(_blocks(self.before), position)
        if self.inner is None or reader is None:
            return reader
        group = self.inner.level.last_dependent_position(-(-reader // self.inner.factor))
        if group is None or self.inner.upsampling.attention is not None:
            return None
        return last_dependent_position(_blocks(self.after), group * self.inner.factor + self.inner.factor - 1)


class InnerLevel(nn.Module):
    """A level on a shortened sequence, with the pooling before it and the upsampling after it."""

    def __init__(self, config: HourglassConfig, stages: Sequence[Stage], blocks: Iterator[Block]) -> None:
        super().__init__()
        self.factor = stages[1].factor // stages[0].factor
        self.pooling = Pooling(config, self.factor, config.pool == "linear", next(blocks) if config.pool_attention else None)
        self.level = Level(config, stages[1:-1], blocks)
        self.upsampling = Upsampling(config, self.factor, config.upsample == "linear", next(blocks) if config.upsample_attention else None)
        self.layer_count = len(_blocks([*self.pooling.modules(), *self.level.modules()]))  # layers that an open group does not pass


class Hourglass(BlockModel):
    """x_0 = e(tokens) + p; x_L = level_0(x_0); logits = readout(x_L)."""

    def __init__(self, config: HourglassConfig, vocabulary: int) -> None:
        layers = config.layers()
        super().__init__(config, vocabulary, layers)
        self.templates = config.stages()[-1].layers
        self.level = Level(config, config.stages(), (layer.build(config.width, number, len(layers)) for number, layer in enumerate(layers)))
        self.readout = self.build_readout(config)
        self.check_positions()

    @property
    def masks_documents(self) -> bool:
        return self.level.inner is None and super().masks_documents

    @property
    def layer_widths(self) -> tuple[int, ...]:
        return super().layer_widths if self.level.inner is None else ()

    def last_dependent_position(self, position: int) -> int | None:
        return self.level.last_dependent_position(position)

    def init_state(self, batch: int) -> BlockModelState:
        return BlockModelState(START, self._init_level_state(self.level, batch))

    def _init_level_state(self, level: Level, batch: int) -> LevelState:
        like = self.embedding.weight
        before, after = (tuple(block.mixer.init_state(batch, like) for block in _blocks(part)) for part in (level.before, level.after))
        if level.inner is None:
            return LevelState(before, None, after)
        attention, inner = level.inner.upsampling.attention, self._init_level_state(level.inner.level, batch)
        cache = None if attention is None else attention.mixer.init_state(batch, like)
        zeros = like.new_zeros(batch, shift(level.inner.factor) + 1, self.width)
        return LevelState(before, InnerLevelState(zeros[:, 1:], zeros[:, :1], inner, cache), after)

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        x, inputs, after = self.embed_input(tokens, START if state is None else state.cursor, documents)
        forward_pass = ForwardPass(inputs)
        x, level = self._run_level(self.level, x, None if state is None else state.layers, forward_pass)
        return self.make_output(x, None if level is None else BlockModelState(after, level), forward_pass)

    def _run_level(self, level: Level, x: Tensor, state: LevelState | None, forward_pass: ForwardPass) -> tuple[Tensor, LevelState | None]:
        """Run all layers of a level and of those below it on x [B, T, D]."""
        before, inner, after = (None, None, None) if state is None else state
        x, before = self.run_blocks(_blocks(level.before), x, before, forward_pass)
        if level.inner is not None:
            x, inner = self._run_inner_level(level.inner, x, inner, forward_pass)
        x, after = self.run_blocks(_blocks(level.after), x, after, forward_pass)
        return x, None if state is None else LevelState(tuple(before), inner, tuple(after))

    def _run_inner_level(
        self, inner: InnerLevel, x: Tensor, state: InnerLevelState | None, forward_pass: ForwardPass
    ) -> tuple[Tensor, InnerLevelState | None]:
        """Add to x [B, T, D] what the levels below make of the groups that are complete."""
        rows, _, width = x.shape
        k, outer, first = inner.factor, forward_pass.inputs, forward_pass.next_layer
        partial, last = (x.new_zeros(rows, n, width) for n in (shift(k), 1)) if state is None else state[:2]
        level, cache = (None, None) if state is None else state[2:]
        x_groups = torch.cat([partial, x], dim=1)
        complete = x_groups.shape[1] // k
        z, below = x[:, :0], self._group_inputs(outer, k, complete, x)
        if complete > 0:
            forward_pass.set_inputs(below)
            z, level = self._run_groups(inner, x_groups[:, : complete * k].view(rows, complete, k, width), level, forward_pass)
        forward_pass.set_inputs(outer, first + inner.layer_count)
        shortened = torch.cat([last, z], dim=1)  # of the groups from the one that was complete before this call
        begin = outer.stream_position - (below.stream_position - 1) * k
        x = x + inner.upsampling(shortened)[:, begin : begin + x.shape[1]]
        if inner.upsampling.attention is not None:
            x, (cache,) = self.run_blocks([inner.upsampling.attention], x, [CrossAttentionInputs(z, below, cache)], forward_pass)
        if level is None:
            return x, None
        rest = x_groups[:, complete * k :].clone(), shortened[:, -1:].clone()  # copies, so that all else is freed
        return x, InnerLevelState(*rest, level, cache)

    def _run_groups(
        self, inner: InnerLevel, groups: Tensor, state: LevelState | None, forward_pass: ForwardPass
    ) -> tuple[Tensor, LevelState | None]:
        """Compute z [B, n, D] of complete groups [B, n, k, D]."""
        pooled = inner.pooling(groups)
        forward_pass.set_inputs(forward_pass.inputs.with_embedding(pooled))
        if inner.pooling.attention is not None:
            pooled, _ = self.run_blocks([inner.pooling.attention], pooled, [groups], forward_pass)
        return self._run_level(inner.level, pooled, state, forward_pass)

    def _group_inputs(self, inputs: LayerInputs, factor: int, complete: int, like: Tensor) -> LayerInputs:
        """Make the layer inputs of the groups that a call completes: their numbers are the positions."""
        stream = -(-inputs.stream_position // factor)
        return self.make_layer_inputs(stream, (torch.arange(complete, device=like.device) + stream).unsqueeze(0), None)


def _blocks(modules: Iterable[nn.Module]) -> list[Block]:
    return [module for module in modules if isinstance(module, Block)]
