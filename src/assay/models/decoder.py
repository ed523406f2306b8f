"""Stacks of blocks, and the one that most models are: the decoder (Radford et al., GPT-2, 2019, and all that came after it)."""

from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import Output, State
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.block_model import BlockModel, BlockModelConfig, build_residual_projection
from assay.models.forward_pass import START, BlockModelState, ForwardPass
from assay.nn.block import Block, BlockConfig
from assay.nn.linear import Linear


class StackConfig(BlockModelConfig):
    """A stack of blocks. `block` is the template of every layer, `pattern` cycles overrides of it over the layers."""

    depth: int = setting(4, "layers L", alternative=3, affects="cost", ge=0, le=10_000)
    pattern: tuple[Any, ...] = setting(
        (), "overrides of the block, cycled over the layers; a bare word is a mixer", alternative=({"feedforward": "glu"},)
    )

    def layers(self) -> tuple[BlockConfig, ...]:
        """Make the block of every layer, overrides cycled over them. Raises ConfigError with the place."""
        if len(self.pattern) > self.depth:
            reason = f"has {len(self.pattern)} entries for {self.depth} layers; the last ones would not be used"
            raise ConfigError("pattern", reason)
        changed = [self.override_block(change, f"pattern.{index}") for index, change in enumerate(self.pattern)]
        return tuple(changed[index % len(changed)] if changed else self.block for index in range(self.depth))

    def layer_widths(self) -> tuple[int, ...]:
        """Return the width of the residual stream in every layer."""
        return (self.width,) * self.depth

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        for layer, width in zip(self.layers(), self.layer_widths(), strict=True):
            self.check_block(layer, width)


class Stack(BlockModel):
    """x_0 = e(tokens) + p; x_l = block_l(P_l x_{l-1}); logits = readout(x_L). P_l is a map where the width changes, else nothing.

    Where it does, what layers hand to later ones (the embedded text x0, the first layer's values) begins anew: x0 is then P_l x_{l-1}.
    """

    saved_layers = 0  # layers whose outputs later ones read

    def __init__(self, config: StackConfig, vocabulary: int) -> None:
        layers, widths = config.layers(), config.layer_widths()
        super().__init__(config, vocabulary, layers, widths)
        self.widths = widths
        self.maps = nn.ModuleList(
            nn.Identity() if before == after else build_residual_projection(before, after, config)
            for before, after in pairwise((config.width, *widths))
        )
        self.blocks = nn.ModuleList(
            layer.build(width, index, len(layers)) for index, (layer, width) in enumerate(zip(layers, widths, strict=True))
        )
        self.readout = self.build_readout(config)
        self.check_positions()

    @property
    def layers(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    @property
    def layer_widths(self) -> tuple[int, ...]:
        return self.widths

    @property
    def hidden_width(self) -> int:
        return (self.width, *self.widths)[-1]

    def init_state(self, batch: int) -> BlockModelState:
        return BlockModelState(START, tuple(block.mixer.init_state(batch, self.embedding.weight) for block in self.layers))

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        x, inputs, after = self.embed_input(tokens, START if state is None else state.cursor, documents)
        forward_pass, kept = ForwardPass(inputs), []
        saved_outputs: list[Tensor] = []
        for index, (block, change) in enumerate(zip(self.layers, self.maps, strict=True)):
            if isinstance(change, Linear):
                x = change(x).to(x.dtype)  # sums of branches stay as exact as they were, whatever the map was computed in
                forward_pass.set_inputs(replace(forward_pass.inputs, embedding=x, first_value=None))
            x = self.layer_input(index, x, saved_outputs)
            x, states = self.run_blocks([block], x, None if state is None else [state.layers[index]], forward_pass)
            kept += states
            if index < self.saved_layers:
                saved_outputs.append(x)
        return self.make_output(x, None if state is None else BlockModelState(after, tuple(kept)), forward_pass)

    def layer_input(self, index: int, x: Tensor, saved_outputs: list[Tensor]) -> Tensor:
        """Compute the input of layer `index` from x, the output of the layer before it, and from the outputs of the saved layers."""
        return x


class DecoderConfig(StackConfig):
    """A stack of blocks of one width. `block` is the template of every layer, `pattern` cycles overrides of it over the layers."""

    kind: Literal["decoder"] = "decoder"

    def build_module(self, vocabulary: int) -> Model:
        return Decoder(self, vocabulary)


class Decoder(Stack):
    """x_0 = e(tokens) + p; x_l = block_l(x_{l-1}); logits = readout(x_L)."""

    @property
    def reach(self) -> int | None:
        """The layers' reaches add up, if each layer and the positions go by distances alone."""
        reaches = [block.mixer.reach if block.mixer.shift_invariant else None for block in self.layers]
        if None in reaches or not self.position.methods <= {"rotation", "bias", "relative"}:
            return None
        return sum(reach for reach in reaches if reach is not None)
