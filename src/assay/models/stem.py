"""What every trunk of blocks begins and ends with: embedding and positions before the blocks, norm and head after them."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import SerializeAsAny, merge, setting
from assay.core.types import Blocks, Inside, Mean, Output, Prediction, State, add_means
from assay.errors import ConfigError
from assay.models.base import Model, ModelConfig
from assay.models.readout import HeadConfig, Readout
from assay.nn.block import Block, BlockConfig
from assay.nn.dropout import Dropout
from assay.nn.embedding import build_embedding
from assay.nn.init import Fans, InitConfig, MupConfig, NormalConfig
from assay.nn.linear import Linear
from assay.nn.mixer.base import Extras, Where
from assay.nn.norm import NormConfig
from assay.nn.position.base import Position, PositionConfig, Sizes
from assay.nn.position.learned import LearnedConfig


class StemConfig(ModelConfig):
    """The settings that trunks of blocks have in common. `block` is the template of every layer."""

    width: int = setting(256, "size of the residual stream D", other=32, bites="cost", ge=1)
    block: BlockConfig = setting(BlockConfig(), "what every layer is made of", other={"placement": "post"})
    position: SerializeAsAny[PositionConfig] = setting(LearnedConfig(), "how order enters", other="rope")
    norm: SerializeAsAny[NormConfig] | None = setting(
        None, "the norm before the head (absent: as in the block)", other={"kind": "rms_norm"}
    )
    head: HeadConfig = setting(HeadConfig(), "how hidden states become logits", other={"bias": True}, bites="cost")
    init: SerializeAsAny[InitConfig] = setting(NormalConfig(), "how the weights begin", other="fan_in")
    embedding_size: int | None = setting(
        None, "inner size E of a factorised embedding (absent: not factorised)", other=8, bites="cost", ge=1
    )
    embedding_scale: bool = setting(False, "embedded tokens multiplied by sqrt(D)", other=True)
    embedding_dropout: float = setting(0.0, "dropout of the embedded tokens", other=0.5, bites="training", ge=0, lt=1)

    def model_post_init(self, context: Any) -> None:
        if self.norm is not None and self.block.placement == "post":
            raise ConfigError("norm", "is not used with block.placement = 'post', whose blocks end in a norm; leave it out")
        if self.embedding_size is not None and self.embedding_size > self.width:
            raise ConfigError("embedding_size", f"{self.embedding_size} exceeds the width {self.width}, and saves nothing; lower it")
        if self.embedding_scale and isinstance(self.init, MupConfig):
            raise ConfigError("embedding_scale", "makes activations grow with the width, which init mup is there to prevent; leave it out")

    def patterned(self, pattern: Sequence[Any], depth: int) -> tuple[BlockConfig, ...]:
        """The block of each of `depth` layers, changes cycled over them. Raises ConfigError with the place."""
        if len(pattern) > depth:
            raise ConfigError("pattern", f"has {len(pattern)} entries for {depth} layers; the last ones would not be used")
        changed = [self.changed_block(change, f"pattern.{index}") for index, change in enumerate(pattern)]
        return tuple(changed[index % len(changed)] if changed else self.block for index in range(depth))

    def changed_block(self, change: Any, place: str) -> BlockConfig:
        """The block with a change laid on it; a bare word is a mixer. Raises ConfigError with the place."""
        try:
            return BlockConfig.make(merge(self.block.tree(), {"mixer": change} if isinstance(change, str) else change))
        except ConfigError as error:
            raise error.under(place) from None

    def check_block(self, layer: BlockConfig, width: int) -> None:
        """Raise ConfigError where the parts of a layer of this width do not fit together."""
        for name, part in (("mixer", layer.mixer), ("feed", layer.feed)):
            try:
                part.check(width)
            except ConfigError as error:
                raise error.under(f"block.{name}") from None
        size = layer.mixer.size_of_head(width)
        if size is not None:
            try:
                self.position.check(size)
            except ConfigError as error:
                raise error.under("position") from None


class Cursor(NamedTuple):
    """Where a stream goes on."""

    stream: int  # tokens read so far
    document: Tensor | None  # [B] number of the document that the last token was in
    offset: Tensor | None  # [B] position at which that document goes on


START = Cursor(0, None, None)


class Stem(Model):
    """x_0 = e(tokens) + p before the blocks, logits = readout(x_L) after them. A trunk says what is between."""

    readout: Readout

    def __init__(self, config: StemConfig, vocabulary: int, layers: Sequence[BlockConfig], widths: Sequence[int] = ()) -> None:
        super().__init__()
        self.init = config.init
        self.templates = tuple(layers)  # of the blocks at full length with which the model ends
        self.vocabulary, self.width = vocabulary, config.width
        self.embedding = build_embedding(vocabulary, config.width, config.embedding_size)
        self.scale = math.sqrt(config.width) if config.embedding_scale else 1.0
        self.position = _build_position(config, layers, widths or [config.width] * len(layers))
        self.dropout = Dropout(config.embedding_dropout)

    def build_readout(self, config: StemConfig) -> Readout:
        """What follows the last block; a trunk registers it after its blocks, as weights are drawn in the order of the module tree."""
        ends_in_norm = config.block.placement == "post"
        final = nn.Identity() if ends_in_norm else (config.norm or config.block.norm).build(config.width)
        return Readout(config.head, final, self.embedding)

    def refuse_unheard_positions(self) -> None:
        """Raise ConfigError where a layer cannot take the positions."""
        for index, block in enumerate(self.layers):
            unheard = self.position.enters - block.mixer.accepts
            if unheard:
                name = type(block.mixer).__name__
                raise ConfigError(
                    "model.position",
                    f"enters by {', '.join(sorted(unheard))}, which mixer {name} of layer {index} does not accept; choose another",
                )

    @property
    def layers(self) -> list[Block]:
        """The blocks in the order in which a text passes them."""
        return [module for module in self.modules() if isinstance(module, Block)]

    @property
    def layer_widths(self) -> tuple[int, ...]:
        return (self.width,) * len(self.layers)

    @property
    def length(self) -> int | None:
        return self.position.reach

    @property
    def masks_documents(self) -> bool:
        return all(block.mixer.documents == "masked" for block in self.layers)

    @property
    def bounded(self) -> bool:
        return all(block.mixer.bounded for block in self.layers)

    @property
    def reports(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for block in self.layers:
            found |= {**block.mixer.reports, **block.feed.reports}
        return found

    def fill(self, part: nn.Module, generator: torch.Generator) -> None:
        self.init.fill(part, len(self.layers), self.width, generator)

    def another_layer(self) -> Block:
        if not self.templates:
            raise ConfigError(
                "objective", "adds blocks like the model's last one, and this model ends without any; choose another of either"
            )
        return self.templates[-1].build(self.hidden_width, len(self.layers) - 1, len(self.layers))

    def last_reader(self, position: int) -> int | None:
        """The last position whose logits know of the token at `position`; None: there is none. A trunk with other connections says more."""
        return last_reader(self.layers, position)

    def enter(self, tokens: Tensor, cursor: Cursor, documents: Tensor | None) -> tuple[Tensor, Where, Cursor]:
        """The embedded tokens [B, T, D], where they stand, and where the stream goes on after them."""
        where, after = self._place(tokens, cursor, documents)
        x = self.embed(tokens)
        if "embed" in self.position.enters:
            x = x + self.position.embed(where.position).to(x.dtype)
        x = self.dropout(x)
        return x, where.with_embedding(x), after

    def pass_through(
        self, blocks: Sequence[Block], x: Tensor, states: Sequence[State] | None, place: "Passage"
    ) -> tuple[Tensor, list[State]]:
        """x after some blocks in a row, and their states."""
        kept = []
        for index, block in enumerate(blocks):
            read = x
            if "block_input" in self.position.enters:
                x = x + self.position.block_input(place.where.position, place.first)
            x, state, extras = block(x, None if states is None else states[index], place.where)
            kept.append(state)
            place.passed(read, x, extras)
        return x, kept

    def leave(self, x: Tensor, state: State, place: "Passage") -> Output:
        """The output of the model."""
        return Output((Prediction("next", x, self.readout, 1),), state, place.losses, place.stats, self.inside(place))

    def inside(self, place: "Passage") -> Inside | None:
        """What an objective may look into, if there is to be a gradient."""
        if not place.layers:
            return None
        further = Blocks(place.last_input, self.embed, partial(self.pass_one_more, place.where))
        return Inside(tuple(place.layers) if self.layer_widths else (), further)

    def embed(self, tokens: Tensor) -> Tensor:
        """The embedded tokens [B, T, D], without positions and dropout."""
        x: Tensor = self.embedding(tokens) * self.scale
        return x

    def pass_one_more(self, where: Where, block: Block, x: Tensor) -> tuple[Tensor, Mapping[str, Mean], Mapping[str, Mean]]:
        """x after a block of an objective, which stands where the last layer does and carries nothing; its losses and statistics."""
        if "block_input" in self.position.enters:
            x = x + self.position.block_input(where.position, len(self.layers) - 1)
        x, _, extras = block(x, None, where)
        return x, extras.losses, extras.stats

    def _place(self, tokens: Tensor, cursor: Cursor, documents: Tensor | None) -> tuple[Where, Cursor]:
        """Where the tokens stand, and where the stream goes on after them."""
        if documents is not None and not self.masks_documents:
            raise ConfigError("model", "has a mixer that cannot isolate documents inside a row; choose another or do not mask documents")
        stream = cursor.stream
        time = torch.arange(tokens.shape[1], device=tokens.device)
        if documents is None:
            position, number, offset = (time + stream).unsqueeze(0), None, None
        else:
            before = documents[:, :1] if cursor.document is None else cursor.document.unsqueeze(1)
            carried = torch.zeros_like(before) if cursor.offset is None else cursor.offset.unsqueeze(1)
            begins = documents != torch.cat([before, documents[:, :-1]], dim=1)  # [B, T]
            start = torch.where(begins, time, -carried).cummax(dim=1).values
            position = time - start
            number, offset = documents[:, -1], position[:, -1] + 1
        longest = stream + tokens.shape[1]
        if self.length is not None and longest > self.length and documents is not None:
            longest = min(longest, int(position.max()) + 1)  # waits for the device, so only where a document may still fit
        if self.length is not None and longest > self.length:
            raise ConfigError(
                "model.position",
                f"has {self.length} positions and the text needs {longest}; shorten the text or train with more",
            )
        return self.where(stream, position, documents), Cursor(stream + tokens.shape[1], number, offset)

    def where(self, stream: int, position: Tensor, documents: Tensor | None) -> Where:
        """What layers need to know of these positions [1 or B, T], of which the first is the `stream`-th."""
        rotation = self.position.angles(position).to(self.embedding.weight.dtype) if "rotate" in self.position.enters else None
        return Where(stream, position, documents, self.position, rotation)


class Passage:
    """A call on its way through the blocks: where it is, and what the layers have reported so far."""

    def __init__(self, where: Where) -> None:
        self.where, self.first = where, 0  # the number of the next layer
        self.losses: dict[str, Mean] = {}
        self.stats: dict[str, Mean] = {}
        self.layers: list[Tensor] = []  # what each layer gave, while gradients are recorded
        self.last_input: Tensor

    def move(self, where: Where, layer: int | None = None) -> None:
        """Go on at other places, and with the layer of this number where it is not the next one."""
        self.where, self.first = where, self.first if layer is None else layer

    def passed(self, read: Tensor, gave: Tensor, extras: Extras) -> None:
        """Take in what a layer reports, and remember the layer for the objective."""
        self.move(self.where.with_value(extras.value), self.first + 1)
        self.losses, self.stats = add_means(self.losses, extras.losses), add_means(self.stats, extras.stats)
        if torch.is_grad_enabled():
            self.layers.append(gave)
            self.last_input = read


def stream_map(before: int, after: int, config: StemConfig) -> Linear:
    """A map of the residual stream itself. It begins with variance 1 / fan-in in any initialisation, so that the stream keeps its scale."""
    made = Linear(before, after, bias=False)
    made.scale_drawn((1 / math.sqrt(before) / config.init.deviation(Fans(before, after, config.width)),))
    return made


def last_reader(blocks: Sequence[Block], position: int) -> int | None:
    """The last position that knows of the input at `position` after some blocks in a row, each handing on what it reads; None: none."""
    for block in blocks:
        reader = block.mixer.last_reader(position)
        if reader is None:
            return None
        position = reader
    return position


def _build_position(config: StemConfig, layers: Sequence[BlockConfig], widths: Sequence[int]) -> Position:
    """The position for the heads of the layers. Raises ConfigError where it cannot be for these."""
    sizes = {size for layer, width in zip(layers, widths, strict=True) if (size := layer.mixer.size_of_head(width)) is not None}
    heads = {number for layer in layers if (number := layer.mixer.number_of_heads()) is not None}
    try:
        position = config.position.build(Sizes(config.width, len(layers), tuple(sorted(sizes)), tuple(sorted(heads))))
    except ConfigError as error:
        raise error.under("position").under("model") from None
    if "block_input" in position.enters and set(widths) - {config.width}:
        found = ", ".join(map(str, sorted(set(widths))))
        raise ConfigError("model.position", f"is added to the input of every layer, and those have the widths {found}; choose another")
    return position
