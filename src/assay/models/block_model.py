"""The part that all models of blocks share: embedding and positions before the blocks, norm and head after them."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from assay.core.config import SerializeAsAny, setting
from assay.core.trees import merge
from assay.core.types import BlockAccess, BlockOutput, Internals, Output, State
from assay.errors import ConfigError, prefix_errors
from assay.models.base import Model, ModelConfig
from assay.models.forward_pass import Cursor, ForwardPass
from assay.models.readout import HeadConfig, Readout
from assay.nn.block import Block, BlockConfig
from assay.nn.dropout import Dropout
from assay.nn.init import Fans, InitConfig, MupConfig, NormalConfig
from assay.nn.linear import Linear, build_embedding
from assay.nn.mixer.base import LayerInputs
from assay.nn.norm import NormConfig
from assay.nn.position.absolute import LearnedPositionConfig
from assay.nn.position.base import ModelSizes, PositionalEncoding, PositionConfig


class BlockModelConfig(ModelConfig):
    """The settings that all models of blocks have. `block` is the template of every layer."""

    width: int = setting(256, "size of the residual stream D", alternative=32, affects="cost", ge=1)
    block: BlockConfig = setting(BlockConfig(), "what every layer is made of", alternative={"placement": "post"})
    position: SerializeAsAny[PositionConfig] = setting(LearnedPositionConfig(), "how order enters", alternative="rope")
    norm: SerializeAsAny[NormConfig] | None = setting(None, "norm before the head (absent: the block's)", alternative={"kind": "rms_norm"})
    head: HeadConfig = setting(HeadConfig(), "how hidden states become logits", alternative={"bias": True}, affects="cost")
    init: SerializeAsAny[InitConfig] = setting(NormalConfig(), "how the weights begin", alternative="fan_in")
    embedding_size: int | None = setting(
        None, "inner size E of a factorised embedding (absent: not factorised)", alternative=8, affects="cost", ge=1
    )
    embedding_scale: bool = setting(False, "embedded tokens multiplied by sqrt(D)", alternative=True)
    embedding_dropout: float = setting(0.0, "dropout of the embedded tokens", alternative=0.5, affects="training", ge=0, lt=1)

    def model_post_init(self, context: Any) -> None:
        if self.norm is not None and self.block.placement == "post":
            raise ConfigError("norm", "is not used with block.placement = 'post', whose blocks end in a norm; leave it out")
        if self.embedding_size is not None and self.embedding_size > self.width:
            raise ConfigError("embedding_size", f"{self.embedding_size} exceeds the width {self.width}, and saves nothing; lower it")
        if self.embedding_scale and isinstance(self.init, MupConfig):
            raise ConfigError("embedding_scale", "makes activations grow with the width, which init mup is there to prevent; leave it out")

    def override_block(self, change: Any, place: str) -> BlockConfig:
        """Override settings of the block; a bare word is a mixer. Raises ConfigError with the place."""
        with prefix_errors(place):
            if not isinstance(change, str | Mapping):
                raise ConfigError("", f"expects a mixer's name or a table of the block's settings, not {change!r}")
            return BlockConfig.make(merge(self.block.to_dict(), {"mixer": change} if isinstance(change, str) else change))

    def check_block(self, layer: BlockConfig, width: int) -> None:
        """Raise ConfigError where the parts of a layer of this width do not fit together."""
        with prefix_errors("block.mixer"):
            layer.mixer.check(width)
        with prefix_errors("block.feedforward"):
            layer.feedforward.check(width)
        size = layer.mixer.size_of_head(width)
        if size is not None:
            with prefix_errors("position"):
                self.position.check(size)


class BlockModel(Model):
    """x_0 = e(tokens) + p before the blocks, logits = readout(x_L) after them. A kind of model defines what is between."""

    readout: Readout

    def __init__(self, config: BlockModelConfig, vocabulary: int, layers: Sequence[BlockConfig], widths: Sequence[int] = ()) -> None:
        super().__init__()
        self.init = config.init
        self.templates = tuple(layers)  # of the blocks at full length with which the model ends
        self.vocabulary, self.width = vocabulary, config.width
        self.embedding = build_embedding(vocabulary, config.width, config.embedding_size)
        self.scale = math.sqrt(config.width) if config.embedding_scale else 1.0
        self.position = _build_position(config, layers, widths or [config.width] * len(layers))
        self.dropout = Dropout(config.embedding_dropout)

    def build_readout(self, config: BlockModelConfig) -> Readout:
        """Build the norm and the head. They are registered after the blocks, as weights are drawn in the order of the module tree.

        Where the last layer is narrower than the embedding, a tied head has a map back to it, and another a matrix [V, last width].
        """
        last = self.hidden_width
        norm = nn.Identity() if config.block.placement == "post" else (config.norm or config.block.norm).build(last)
        if last == config.width:
            return Readout(config.head, norm, self.embedding)
        if config.head.tied:
            return Readout(config.head, nn.Sequential(norm, build_residual_projection(last, config.width, config)), self.embedding)
        return Readout(config.head, norm, nn.Embedding(self.vocabulary, last, device="meta"))  # its shape alone is read

    def check_positions(self) -> None:
        """Raise ConfigError where a layer cannot take the positions."""
        for index, block in enumerate(self.layers):
            refused = self.position.methods - block.mixer.position_methods
            if refused:
                name = type(block.mixer).__name__
                raise ConfigError(
                    "model.position",
                    f"enters by {', '.join(sorted(refused))}, which mixer {name} of layer {index} does not accept; choose another",
                )

    @property
    def layers(self) -> list[Block]:
        """The blocks in the order in which a text passes them."""
        return [module for module in self.modules() if isinstance(module, Block)]

    @property
    def layer_widths(self) -> tuple[int, ...]:
        return (self.width,) * len(self.layers)

    @property
    def max_length(self) -> int | None:
        return self.position.max_length

    @property
    def masks_documents(self) -> bool:
        return all(block.mixer.masks_documents for block in self.layers)

    @property
    def bounded_state(self) -> bool:
        return all(block.mixer.bounded_state for block in self.layers)

    @property
    def aux_loss_weights(self) -> Mapping[str, float]:
        parts = [part for block in self.layers for part in (block.mixer, block.feedforward)]
        return {name: weight for part in parts for name, weight in part.aux_loss_weights.items()}

    def init_weights(self, part: nn.Module, generator: torch.Generator) -> None:
        self.init.init_weights(part, len(self.layers), self.width, generator)

    def build_extra_block(self) -> Block:
        if not self.templates:
            raise ConfigError(
                "objective", "adds blocks like the model's last one, and this model ends without any; choose another objective or model"
            )
        return self.templates[-1].build(self.hidden_width, len(self.layers) - 1, len(self.layers))

    def last_dependent_position(self, position: int) -> int | None:
        """Compute the last position whose logits depend on the token at `position`; None: there is none."""
        return last_dependent_position(self.layers, position)

    def embed_input(self, tokens: Tensor, cursor: Cursor, documents: Tensor | None) -> tuple[Tensor, LayerInputs, Cursor]:
        """Embed tokens [B, T] -> [B, T, D], and return with them the inputs of the first layer and the cursor after the tokens."""
        if documents is not None and not self.masks_documents:
            raise ConfigError("model", "has a mixer that cannot isolate documents inside a row; choose another or do not mask documents")
        position, after = cursor.advance(tokens, documents)
        self._check_length(position, after, documents)
        inputs = self.make_layer_inputs(cursor.stream, position, documents)
        x = self.embed(tokens)
        if "embed" in self.position.methods:
            x = x + self.position.embed(position).to(x.dtype)
        x = self.dropout(x)
        return x, inputs.with_embedding(x), after

    def embed(self, tokens: Tensor) -> Tensor:
        """Embed tokens [B, T] -> [B, T, D], without positions and dropout."""
        x: Tensor = self.embedding(tokens) * self.scale
        return x

    def make_layer_inputs(self, stream: int, position: Tensor, documents: Tensor | None) -> LayerInputs:
        """Make the inputs that all layers get at these positions [1 or B, T], of which the first is the `stream`-th."""
        rotation = self.position.rotation(position).to(self.embedding.weight.dtype) if "rotation" in self.position.methods else None
        return LayerInputs(stream, position, documents, self.position, rotation)

    def run_blocks(
        self, blocks: Sequence[Block], x: Tensor, states: Sequence[State] | None, forward_pass: ForwardPass
    ) -> tuple[Tensor, list[State]]:
        """Run consecutive blocks, and return x after them and their states."""
        kept = []
        for index, block in enumerate(blocks):
            layer_input = x
            if "block_input" in self.position.methods:
                x = x + self.position.block_input(forward_pass.inputs.position, forward_pass.next_layer)
            x, state, aux = block(x, None if states is None else states[index], forward_pass.inputs)
            kept.append(state)
            forward_pass.record_layer(layer_input, x, aux)
        return x, kept

    def run_extra_block(self, inputs: LayerInputs, block: Block, x: Tensor) -> BlockOutput:
        """Run a block of an objective, which stands where the last layer does and carries no state."""
        if "block_input" in self.position.methods:
            x = x + self.position.block_input(inputs.position, len(self.layers) - 1)
        x, _, aux = block(x, None, inputs)
        return BlockOutput(x, aux.losses, aux.stats)

    def make_output(self, x: Tensor, state: State, forward_pass: ForwardPass) -> Output:
        """Make the output of the model from x after all blocks, with its internals for an objective while gradients are recorded."""
        internals = None
        if forward_pass.layer_outputs:
            access = BlockAccess(forward_pass.last_input, self.embed, partial(self.run_extra_block, forward_pass.inputs))
            internals = Internals(tuple(forward_pass.layer_outputs) if self.layer_widths else (), access)
        return Output(x, self.readout, state, forward_pass.losses, forward_pass.stats, internals)

    def _check_length(self, position: Tensor, after: Cursor, documents: Tensor | None) -> None:
        """Raise ConfigError where the text is longer than the positions reach."""
        longest = after.stream
        if self.max_length is not None and longest > self.max_length and documents is not None:
            longest = min(longest, int(position.max()) + 1)  # waits for the device, so only where a document may still fit
        if self.max_length is not None and longest > self.max_length:
            raise ConfigError(
                "model.position",
                f"has {self.max_length} positions and the text needs {longest}; shorten the text or train with more",
            )


def build_residual_projection(before: int, after: int, config: BlockModelConfig) -> Linear:
    """Build a map of the residual stream, whose weights begin with variance 1 / fan-in in any init, so that the stream keeps its scale."""
    projection = Linear(before, after, bias=False)
    projection.set_init_gains((1 / math.sqrt(before) / config.init.standard_deviation(Fans(before, after, config.width)),))
    return projection


def last_dependent_position(blocks: Sequence[Block], position: int) -> int | None:
    """Compute the last position that depends on the input at `position` after consecutive blocks; None: there is none."""
    for block in blocks:
        reader = block.mixer.last_dependent_position(position)
        if reader is None:
            return None
        position = reader
    return position


def _build_position(config: BlockModelConfig, layers: Sequence[BlockConfig], widths: Sequence[int]) -> PositionalEncoding:
    """Build the positional encoding for the heads of the layers. Raises ConfigError where the two do not go together."""
    sizes = {size for layer, width in zip(layers, widths, strict=True) if (size := layer.mixer.size_of_head(width)) is not None}
    heads = {number for layer in layers if (number := layer.mixer.number_of_heads()) is not None}
    with prefix_errors("model.position"):
        position = config.position.build(ModelSizes(config.width, len(layers), tuple(sorted(sizes)), tuple(sorted(heads))))
    if "block_input" in position.methods and set(widths) - {config.width}:
        listed = ", ".join(map(str, sorted(set(widths))))
        raise ConfigError("model.position", f"is added to the input of every layer, and those have the widths {listed}; choose another")
    return position
