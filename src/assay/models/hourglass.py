"""The hourglass: most layers work on a sequence that is k times shorter (Nawrot et al., arXiv 2110.13711).

    x  <- layers(x)                          at full length
    z   = hourglass(pool(shift(x)))          k positions become one; the same once more, if levels are nested
    x  <- x + upsample(z)                    each position reads z_{t // k}
    x  <- layers(x)

`hierarchy` is the paper's notation: "5@1 24@3 5@1" are 5 layers at full length, 24 at a third of it and 5 at full length again. Each level
shifts by its own k - 1. How sequences are pooled and upsampled is in `resample.py`. A level works on its own positions, the numbers of its
groups: rotary angles, biases and distances count groups (the released code counts tokens). What layers hand to later ones begins anew in
each level: x0 is what enters it.

This is the paper's algorithm 1 (from memory). The released code differs: it has a LayerNorm at the end of each stack and after upsampling,
and with attention it adds x twice. Where no factor changes nothing is pooled, so "9@1" and "2@1 5@1 2@1" are plain stacks.

Group g is complete at position gk, and every position reads a complete group, so a text can go on anywhere: what is kept is the k - 1 or
fewer rows of the group that has begun, the last z, the state of the layers, and with attention the keys and values of all z. The shortened
layers run in the calls that complete a group, one in k when one token follows another. A layer at factor f costs an f-th, its attention
an f^2-th. Documents inside a row share groups, so they cannot be isolated.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import Output, State
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.hierarchy import read
from assay.models.resample import Lengthen, Lookup, PoolConfig, Shorten, UpsampleConfig, across, shift
from assay.models.stem import START, Cursor, Passage, Stem, StemConfig, last_reader
from assay.nn.block import Block, BlockConfig
from assay.nn.mixer.base import Where


class Stage(NamedTuple):
    """Layers in a row at one length."""

    factor: int  # how many times shorter than the text
    layers: tuple[BlockConfig, ...]


class HourglassConfig(StemConfig):
    """Layers on a shortened sequence between layers at full length."""

    kind: Literal["hourglass"] = "hourglass"
    hierarchy: str = setting(
        "1@1 2@3 1@1", "stages of layers@factor, 2@3 being two layers at a third of the length", other="1@1 1@2 1@1", bites="cost"
    )
    pattern: tuple[Any, ...] = setting(
        (), "overrides of the block, one for each stage; a bare word is a mixer", other=({"feed": "glu"}, {}, {})
    )
    pool: Literal["average", "linear"] = setting(
        "average", "how k positions become one: their mean, or a map", other="linear", bites="cost"
    )
    upsample: Literal["repeat", "linear"] = setting(
        "repeat", "how one position becomes k: repeated, or by a map", other="linear", bites="cost"
    )
    pool_attention: bool = setting(False, "pooled vectors look at their groups, in a block of their own", other=True, bites="cost")
    upsample_attention: bool = setting(
        False, "positions look at all shortened vectors so far, in a block of their own", other=True, bites="cost"
    )

    tiny: ClassVar[dict[str, Any]] = {"hierarchy": "1@1 1@3 1@1"}

    def stages(self) -> tuple[Stage, ...]:
        """The stages in the order in which a text passes them, neighbours of one length made one. Raises ConfigError with the place."""
        try:
            written = read(self.hierarchy)
        except ConfigError as error:
            raise error.under("hierarchy") from None
        if len(self.pattern) not in (0, len(written)):
            raise ConfigError("pattern", f"has {len(self.pattern)} entries for {len(written)} stages; give one for each")
        found: list[Stage] = []
        for index, (number, factor) in enumerate(written):
            layer = self.changed_block(self.pattern[index], f"pattern.{index}") if self.pattern else self.block
            before = found.pop().layers if found and found[-1].factor == factor else ()
            found.append(Stage(factor, before + (layer,) * number))
        return tuple(found)

    def resamplers(self, factor: int) -> tuple[BlockConfig | None, BlockConfig | None]:
        """The blocks in which two neighbouring levels look at each other, on the way down and up. Raises ConfigError with the place."""
        found = []
        for name, make in (("pool_attention", PoolConfig), ("upsample_attention", UpsampleConfig)):
            try:
                found.append(across(self.block, make, self.width, factor) if getattr(self, name) else None)
            except ConfigError as error:
                raise error.under(name) from None
        return found[0], found[1]

    def layers(self) -> tuple[BlockConfig, ...]:
        """The block of every layer in the order in which a text passes them, those that resample among them."""
        return tuple(self._layers(self.stages()))

    def _layers(self, stages: Sequence[Stage]) -> list[BlockConfig]:
        if len(stages) == 1:
            return list(stages[0].layers)
        factor = stages[1].factor // stages[0].factor
        down, up = ([] if block is None else [block] for block in self.resamplers(factor))
        return [*stages[0].layers, *down, *self._layers(stages[1:-1]), *up, *stages[-1].layers]

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

    def build(self, vocabulary: int, generator: torch.Generator) -> Model:
        model = Hourglass(self, vocabulary)
        model.fill(model, generator)
        return model


class ValleyState(NamedTuple):
    """What is kept between two levels."""

    rows: Tensor  # [B, < k, D] of the group that has begun
    last: Tensor  # [B, 1, D], what became of the last complete group
    level: "LevelState"
    lookup: State  # keys and values of all z, where positions look at them


class LevelState(NamedTuple):
    """What a level keeps, and those below it."""

    before: tuple[State, ...]
    valley: ValleyState | None
    after: tuple[State, ...]


class HourglassState(NamedTuple):
    """What an hourglass carries from one piece of a text to the next."""

    cursor: Cursor
    level: LevelState

    @property
    def stream(self) -> int:
        """Tokens read so far."""
        return self.cursor.stream


class Builder:
    """Builds layers, one after the other, each of which knows its number."""

    def __init__(self, config: HourglassConfig) -> None:
        self.config, self.numbers, self.layers = config, count(), len(config.layers())

    def block(self, layer: BlockConfig) -> Block:
        """The next layer."""
        return layer.build(self.config.width, next(self.numbers), self.layers)

    def maybe(self, layer: BlockConfig | None) -> Block | None:
        """The next layer, if there is one here."""
        return None if layer is None else self.block(layer)


class Level(nn.Module):
    """The layers at one length, and between them, if there is any, the valley with the levels below."""

    def __init__(self, builder: Builder, stages: Sequence[Stage]) -> None:
        super().__init__()
        self.before = nn.ModuleList(map(builder.block, stages[0].layers))
        self.valley = Valley(builder, stages) if len(stages) > 1 else None
        self.after = nn.ModuleList(map(builder.block, stages[-1].layers if len(stages) > 1 else ()))

    def last_reader(self, position: int) -> int | None:
        """The last position of this level that knows of the input at `position`; None: there is none."""
        reader = last_reader(_blocks(self.before), position)
        if self.valley is None or reader is None:
            return reader
        group = self.valley.level.last_reader(-(-reader // self.valley.factor))
        if group is None or self.valley.lengthen.attention is not None:
            return None
        return last_reader(_blocks(self.after), group * self.valley.factor + self.valley.factor - 1)


class Valley(nn.Module):
    """What shortens a sequence, the level that it is shortened for, and what lengthens it again."""

    def __init__(self, builder: Builder, stages: Sequence[Stage]) -> None:
        super().__init__()
        config, self.factor = builder.config, stages[1].factor // stages[0].factor
        down, up = config.resamplers(self.factor)
        self.shorten = Shorten(config, self.factor, config.pool == "linear", builder.maybe(down))
        self.level = Level(builder, stages[1:-1])
        self.lengthen = Lengthen(config, self.factor, config.upsample == "linear", builder.maybe(up))
        self.skipped = len(_blocks([*self.shorten.modules(), *self.level.modules()]))  # layers that an open group does not pass


class Hourglass(Stem):
    """x_0 = e(tokens) + p; x_L = level_0(x_0); logits = readout(x_L)."""

    def __init__(self, config: HourglassConfig, vocabulary: int) -> None:
        super().__init__(config, vocabulary, config.layers())
        self.templates = config.stages()[-1].layers
        self.level = Level(Builder(config), config.stages())
        self.readout = self.build_readout(config)
        self.refuse_unheard_positions()

    @property
    def masks_documents(self) -> bool:
        return self.level.valley is None and super().masks_documents

    @property
    def layer_widths(self) -> tuple[int, ...]:
        return super().layer_widths if self.level.valley is None else ()

    def last_reader(self, position: int) -> int | None:
        return self.level.last_reader(position)

    def init_state(self, batch: int) -> HourglassState:
        return HourglassState(START, self._begin(self.level, batch))

    def _begin(self, level: Level, batch: int) -> LevelState:
        like = self.embedding.weight
        before, after = (tuple(block.mixer.init_state(batch, like) for block in _blocks(part)) for part in (level.before, level.after))
        if level.valley is None:
            return LevelState(before, None, after)
        attention, inner = level.valley.lengthen.attention, self._begin(level.valley.level, batch)
        lookup = None if attention is None else attention.mixer.init_state(batch, like)
        zeros = like.new_zeros(batch, shift(level.valley.factor) + 1, self.width)
        return LevelState(before, ValleyState(zeros[:, 1:], zeros[:, :1], inner, lookup), after)

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        x, where, after = self.enter(tokens, START if state is None else state.cursor, documents)
        passage = Passage(where)
        x, kept = self._pass_level(self.level, x, None if state is None else state.level, passage)
        return self.leave(x, None if kept is None else HourglassState(after, kept), passage)

    def _pass_level(self, level: Level, x: Tensor, state: LevelState | None, place: Passage) -> tuple[Tensor, LevelState | None]:
        """x [B, T, D] after all layers of a level and of those below it."""
        x, before = self.pass_through(_blocks(level.before), x, None if state is None else state.before, place)
        valley = None
        if level.valley is not None:
            x, valley = self._pass_valley(level.valley, x, None if state is None else state.valley, place)
        x, after = self.pass_through(_blocks(level.after), x, None if state is None else state.after, place)
        return x, None if state is None else LevelState(tuple(before), valley, tuple(after))

    def _pass_valley(self, valley: Valley, x: Tensor, state: ValleyState | None, place: Passage) -> tuple[Tensor, ValleyState | None]:
        """x [B, T, D] with what the levels below made of the groups that are complete."""
        rows, width, k = x.shape[0], x.shape[2], valley.factor
        begun, last = (x.new_zeros(rows, n, width) for n in (shift(k), 1)) if state is None else (state.rows, state.last)
        inner, past = (None, None) if state is None else (state.level, state.lookup)
        joined = torch.cat([begun, x], dim=1)
        complete, outer, first = joined.shape[1] // k, place.where, place.first
        z, there = x[:, :0], self._below(outer, k, complete, x)
        if complete > 0:
            place.move(there)
            z, inner = self._pass_groups(valley, joined[:, : complete * k].view(rows, complete, k, width), inner, place)
        place.move(outer, first + valley.skipped)
        shortened = torch.cat([last, z], dim=1)  # of the groups from the one that was complete before this call
        begin = outer.stream - (there.stream - 1) * k
        x = x + valley.lengthen(shortened)[:, begin : begin + x.shape[1]]
        if valley.lengthen.attention is not None:
            x, (past,) = self.pass_through([valley.lengthen.attention], x, [Lookup(z, there, past)], place)
        if inner is None:
            return x, None
        return x, ValleyState(
            joined[:, complete * k :].clone(), shortened[:, -1:].clone(), inner, past
        )  # copies, so that the rest is freed

    def _pass_groups(self, valley: Valley, groups: Tensor, state: LevelState | None, place: Passage) -> tuple[Tensor, LevelState | None]:
        """z [B, n, D] of groups [B, n, k, D]."""
        p = valley.shorten(groups)
        place.move(place.where.with_embedding(p))
        if valley.shorten.attention is not None:
            p, _ = self.pass_through([valley.shorten.attention], p, [groups], place)
        return self._pass_level(valley.level, p, state, place)

    def _below(self, where: Where, factor: int, complete: int, like: Tensor) -> Where:
        """Where the groups that a call completes stand among all groups."""
        stream = -(-where.stream // factor)
        return self.where(stream, (torch.arange(complete, device=like.device) + stream).unsqueeze(0), None)


def _blocks(modules: Iterable[nn.Module]) -> list[Block]:
    return [module for module in modules if isinstance(module, Block)]
