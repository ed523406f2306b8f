"""The decoder: embedding, a stack of blocks, a readout (Radford et al., GPT-2, 2019, and all that came after it)."""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import Output, State
from assay.models.base import Model
from assay.models.stem import START, Cursor, Passage, Stem, StemConfig
from assay.nn.block import Block, BlockConfig


class DecoderConfig(StemConfig):
    """A stack of blocks of one width. `block` is the template of every layer, `pattern` cycles overrides of it over the layers."""

    kind: Literal["decoder"] = "decoder"
    depth: int = setting(4, "layers L", other=3, bites="cost", ge=0)
    pattern: tuple[Any, ...] = setting(
        (), "overrides of the block, cycled over the layers; a bare word is a mixer", other=({"feed": "glu"},)
    )

    def layers(self) -> tuple[BlockConfig, ...]:
        """The block of every layer, overrides applied. Raises ConfigError with the place."""
        return self.patterned(self.pattern, self.depth)

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        for layer in self.layers():
            self.check_block(layer, self.width)

    def build(self, vocabulary: int, generator: torch.Generator) -> Model:
        model = Decoder(self, vocabulary)
        model.fill(model, generator)
        return model


class DecoderState(NamedTuple):
    """What a decoder carries from one piece of a text to the next."""

    cursor: Cursor
    layers: tuple[State, ...]

    @property
    def stream(self) -> int:
        """Tokens read so far."""
        return self.cursor.stream


class Decoder(Stem):
    """x_0 = e(tokens) + p; x_l = block_l(x_{l-1}); logits = readout(x_L)."""

    def __init__(self, config: DecoderConfig, vocabulary: int) -> None:
        layers = config.layers()
        super().__init__(config, vocabulary, layers)
        self.blocks = nn.ModuleList(layer.build(config.width, index, len(layers)) for index, layer in enumerate(layers))
        self.readout = self.build_readout(config)
        self.refuse_unheard_positions()

    @property
    def layers(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    @property
    def reach(self) -> int | None:
        """The layers' reaches add up, if each layer and the positions go by distances alone."""
        reaches = [block.mixer.reach if block.mixer.stationary else None for block in self.layers]
        if None in reaches or not self.position.enters <= {"rotate", "bias", "relative"}:
            return None
        return sum(reach for reach in reaches if reach is not None)

    def init_state(self, batch: int) -> DecoderState:
        return DecoderState(START, tuple(block.mixer.init_state(batch, self.embedding.weight) for block in self.layers))

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        x, where, after = self.enter(tokens, START if state is None else state.cursor, documents)
        passage = Passage(where)
        x, kept = self.pass_through(self.layers, x, None if state is None else state.layers, passage)
        return self.leave(x, None if state is None else DecoderState(after, tuple(kept)), passage)
