"""The decoder: embedding, a stack of blocks, a readout (Radford et al., GPT-2, 2019, and all that came after it)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import SerializeAsAny, merge, setting
from assay.core.types import Mean, Output, Prediction, State, add_means
from assay.errors import ConfigError
from assay.models.base import Model, ModelConfig
from assay.models.readout import HeadConfig, Readout
from assay.nn.block import Block, BlockConfig
from assay.nn.dropout import Dropout
from assay.nn.init import InitConfig, NormalConfig
from assay.nn.mixer.base import Where
from assay.nn.norm import NormConfig
from assay.nn.position.base import Position, PositionConfig, Sizes
from assay.nn.position.learned import LearnedConfig


class DecoderConfig(ModelConfig):
    """A stack of blocks of one width. `block` is the template of every layer, `pattern` cycles overrides of it over the layers."""

    kind: Literal["decoder"] = "decoder"
    width: int = setting(256, "size of the residual stream D", other=32, bites="cost", ge=1)
    depth: int = setting(4, "layers L", other=3, bites="cost", ge=0)
    block: BlockConfig = setting(BlockConfig(), "what every layer is made of", other={"placement": "post"})
    pattern: tuple[Any, ...] = setting(
        (), "overrides of the block, cycled over the layers; a bare word is a mixer", other=({"feed": "glu"},)
    )
    position: SerializeAsAny[PositionConfig] = setting(LearnedConfig(), "how order enters", other="rope")
    norm: SerializeAsAny[NormConfig] | None = setting(
        None, "the norm before the head (absent: as in the block)", other={"kind": "rms_norm"}
    )
    head: HeadConfig = setting(HeadConfig(), "how hidden states become logits", other={"bias": True}, bites="cost")
    init: SerializeAsAny[InitConfig] = setting(NormalConfig(), "how the weights begin", other="fan_in")
    embedding_scale: bool = setting(False, "embedded tokens multiplied by sqrt(D)", other=True)
    embedding_dropout: float = setting(0.0, "dropout of the embedded tokens", other=0.5, bites="training", ge=0, lt=1)

    def layers(self) -> tuple[BlockConfig, ...]:
        """The block of every layer, overrides applied. Raises ConfigError with the place."""
        blocks = []
        for index in range(self.depth):
            entry = self.pattern[index % len(self.pattern)] if self.pattern else {}
            change = {"mixer": entry} if isinstance(entry, str) else entry
            try:
                blocks.append(BlockConfig.make(merge(self.block.tree(), change)))
            except ConfigError as error:
                raise error.under(f"pattern.{index % len(self.pattern)}") from None
        return tuple(blocks)

    def model_post_init(self, context: Any) -> None:
        if self.norm is not None and self.block.placement == "post":
            raise ConfigError("norm", "is not used with block.placement = 'post', whose blocks end in a norm; leave it out")
        if len(self.pattern) > self.depth:
            raise ConfigError("pattern", f"has {len(self.pattern)} entries for {self.depth} layers; the last ones would not be used")
        for layer in self.layers():
            self._check(layer)

    def _check(self, layer: BlockConfig) -> None:
        for name, part in (("mixer", layer.mixer), ("feed", layer.feed)):
            try:
                part.check(self.width)
            except ConfigError as error:
                raise error.under(f"block.{name}") from None
        size = layer.mixer.size_of_head(self.width)
        if size is not None:
            try:
                self.position.check(size)
            except ConfigError as error:
                raise error.under("position") from None

    def build(self, vocabulary: int, generator: torch.Generator) -> Model:
        model = Decoder(self, vocabulary)
        self.init.fill(model, self.depth, generator)
        return model


def _build_position(config: DecoderConfig, layers: Sequence[BlockConfig]) -> Position:
    """The position for heads of the layers' one size and number. Raises ConfigError where they have several, or none and it needs one."""
    sizes = {size for layer in layers if (size := layer.mixer.size_of_head(config.width)) is not None}
    heads = {number for layer in layers if (number := layer.mixer.number_of_heads()) is not None}
    try:
        position = config.position.build(Sizes(config.width, config.depth, max(sizes, default=None), max(heads, default=None)))
    except ConfigError as error:
        raise error.under("position").under("model") from None
    if position.enters & {"rotate", "relative"} and len(sizes) > 1:
        found = ", ".join(map(str, sorted(sizes)))
        raise ConfigError("model.position", f"is for heads of one size, and those of the layers have {found} features; make them equal")
    if "relative" in position.enters and len(heads) > 1:
        found = ", ".join(map(str, sorted(heads)))
        raise ConfigError("model.position", f"is for one number of heads, and the layers have {found}; make them equal")
    return position


class DecoderState(NamedTuple):
    """What a decoder carries from one piece of a text to the next."""

    stream: int  # tokens read so far
    document: Tensor | None  # [B] number of the document that the last token was in
    offset: Tensor | None  # [B] position at which that document goes on
    layers: tuple[State, ...]


class Decoder(Model):
    """x_0 = e(tokens) + p; x_l = block_l(x_{l-1}); logits = readout(x_L)."""

    def __init__(self, config: DecoderConfig, vocabulary: int) -> None:
        super().__init__()
        layers = config.layers()
        self.vocabulary, self.width = vocabulary, config.width
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.scale = math.sqrt(config.width) if config.embedding_scale else 1.0
        self.position = _build_position(config, layers)
        self.dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(layer.build(config.width, index) for index, layer in enumerate(layers))
        ends_in_norm = config.block.placement == "post"
        final = nn.Identity() if ends_in_norm else (config.norm or config.block.norm).build(config.width)
        self.readout = Readout(config.head, final, self.embedding)
        self._refuse_unheard_positions()

    def _refuse_unheard_positions(self) -> None:
        for index, block in enumerate(self.layers):
            unheard = self.position.enters - block.mixer.accepts
            if unheard:
                name = type(block.mixer).__name__
                raise ConfigError(
                    "model.position",
                    f"enters by {', '.join(unheard)}, which mixer {name} of layer {index} does not accept; choose another",
                )

    @property
    def layers(self) -> list[Block]:
        """The blocks, typed."""
        return [block for block in self.blocks if isinstance(block, Block)]

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

    def init_state(self, batch: int) -> DecoderState:
        like = self.embedding.weight
        return DecoderState(0, None, None, tuple(block.mixer.init_state(batch, like) for block in self.layers))

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        where, document, offset = self._place(tokens, state, documents)
        x = self.embedding(tokens) * self.scale  # [B, T, D]
        if "embed" in self.position.enters:
            x = x + self.position.embed(where.position).to(x.dtype)
        x = self.dropout(x)
        where = where.with_embedding(x)
        losses: dict[str, Mean] = {}
        stats: dict[str, Mean] = {}
        kept = []
        for index, block in enumerate(self.layers):
            if "block_input" in self.position.enters:
                x = x + self.position.block_input(where.position, index)
            x, layer_state, extras = block(x, None if state is None else state.layers[index], where)
            kept.append(layer_state)
            where = where.with_value(extras.value)
            losses, stats = add_means(losses, extras.losses), add_means(stats, extras.stats)
        after = None if state is None else DecoderState(state.stream + tokens.shape[1], document, offset, tuple(kept))
        return Output((Prediction("next", x, self.readout, 1),), after, losses, stats)

    def _place(self, tokens: Tensor, state: DecoderState | None, documents: Tensor | None) -> tuple[Where, Tensor | None, Tensor | None]:
        """Where the tokens stand, and the document and offset at which the stream goes on after them."""
        if documents is not None and not self.masks_documents:
            raise ConfigError("model", "has a mixer that cannot isolate documents inside a row; choose another or do not mask documents")
        stream = 0 if state is None else state.stream
        time = torch.arange(tokens.shape[1], device=tokens.device)
        if documents is None:
            position, number, offset = (time + stream).unsqueeze(0), None, None
        else:
            before = documents[:, :1] if state is None or state.document is None else state.document.unsqueeze(1)
            carried = torch.zeros_like(before) if state is None or state.offset is None else state.offset.unsqueeze(1)
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
        rotation = None
        if "rotate" in self.position.enters:
            cosine, sine = self.position.angles(position)
            rotation = (cosine.to(self.embedding.weight.dtype), sine.to(self.embedding.weight.dtype))
        return Where(stream, position, documents, self.position, rotation), number, offset
