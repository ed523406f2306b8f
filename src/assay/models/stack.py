"""Blocks one upon the other in stages of widths of their own: what `unet` and `pyramid` have in common.

`depth` layers are shared equally among the stages. Where two widths meet, the residual stream goes through a linear map without a bias. A
layer has the settings of the template at every width, and what follows from the width follows from its own: as many heads of another
size unless `head_size` is set, which relative positions ask for, and another inner width of the feed-forward. What layers of one stage
hand to later ones (the embedded text x0, the first layer's values) begins anew in the next: x0 is then what enters the stage.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import Output, State
from assay.errors import ConfigError
from assay.models.stem import START, Cursor, Passage, Stem, StemConfig, stream_map
from assay.nn.block import Block, BlockConfig
from assay.nn.linear import Linear

Widths = tuple[Annotated[int, Field(ge=1)], ...]


class StackConfig(StemConfig):
    """A stack of blocks. `block` is the template of every layer, `pattern` cycles overrides of it over the layers."""

    depth: int = setting(6, "layers L, a multiple of the number of widths", other=4, bites="cost", ge=1)
    pattern: tuple[Any, ...] = setting(
        (), "overrides of the block, cycled over the layers; a bare word is a mixer", other=({"feed": "glu"},)
    )
    widths: Widths = setting((), "width of the residual stream in each stage (absent: that of the embedding)", bites="cost")

    def layers(self) -> tuple[BlockConfig, ...]:
        """The block of every layer, overrides applied. Raises ConfigError with the place."""
        return self.patterned(self.pattern, self.depth)

    def layer_widths(self) -> tuple[int, ...]:
        """The width of the residual stream in every layer."""
        widths = self.widths or (self.width,)
        return tuple(width for width in widths for _ in range(self.depth // len(widths)))

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if self.widths and self.depth % len(self.widths):
            stages = len(self.widths)
            raise ConfigError("depth", f"{self.depth} layers cannot be shared equally by {stages} widths; choose a multiple of {stages}")
        for layer, width in zip(self.layers(), self.layer_widths(), strict=True):
            self.check_block(layer, width)


class StackState(NamedTuple):
    """What a stack carries from one piece of a text to the next."""

    cursor: Cursor
    layers: tuple[State, ...]

    @property
    def stream(self) -> int:
        """Tokens read so far."""
        return self.cursor.stream


class Stack(Stem):
    """x_0 = e(tokens) + p; x_l = block_l(P_l x_{l-1}); logits = readout(x_L). P_l is a map where the width changes, else nothing."""

    remembered = 0  # layers whose outputs later ones read

    def __init__(self, config: StackConfig, vocabulary: int) -> None:
        layers, widths = config.layers(), config.layer_widths()
        super().__init__(config, vocabulary, layers, widths)
        self.widths = widths
        self.maps = nn.ModuleList(
            nn.Identity() if before == after else stream_map(before, after, config) for before, after in pairwise((config.width, *widths))
        )
        self.blocks = nn.ModuleList(
            layer.build(width, index, len(layers)) for index, (layer, width) in enumerate(zip(layers, widths, strict=True))
        )

    @property
    def layers(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    @property
    def layer_widths(self) -> tuple[int, ...]:
        return self.widths

    @property
    def hidden_width(self) -> int:
        return self.layer_widths[-1]

    def init_state(self, batch: int) -> StackState:
        return StackState(START, tuple(block.mixer.init_state(batch, self.embedding.weight) for block in self.layers))

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        x, where, after = self.enter(tokens, START if state is None else state.cursor, documents)
        place, kept = Passage(where), []
        given: list[Tensor] = []
        for index, (block, change) in enumerate(zip(self.layers, self.maps, strict=True)):
            if isinstance(change, Linear):
                x = change(x).to(x.dtype)  # sums of branches stay as exact as they were, whatever the map was computed in
                place.move(replace(place.where, embedding=x, first_value=None))
            x = self.joined(index, x, given)
            x, states = self.pass_through([block], x, None if state is None else [state.layers[index]], place)
            kept += states
            if index < self.remembered:
                given.append(x)
        return self.leave(x, None if state is None else StackState(after, tuple(kept)), place)

    def joined(self, index: int, x: Tensor, given: list[Tensor]) -> Tensor:
        """What layer `index` reads: x, which the layer before it gave, or more. `given` is what the remembered layers gave."""
        return x
