"""Stacks of blocks in stages of different widths: the U-Net, which narrows and widens again, and the pyramid, which only narrows.

`depth` layers are shared equally among the stages. Where two widths meet, the residual stream goes through a linear map without a bias. A
layer has the settings of the template at every width, and what follows from the width follows from its own: as many heads of another
size unless `head_size` is set, which relative positions ask for, and another inner width of the feed-forward.
"""

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from assay.core.config import setting
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.decoder import Stack, StackConfig

Widths = tuple[Annotated[int, Field(ge=1)], ...]


class StagedConfig(StackConfig):
    """A stack of blocks in stages. `block` is the template of every layer, `pattern` cycles overrides of it over the layers."""

    depth: int = setting(6, "layers L, a multiple of the number of widths", alternative=4, affects="cost", ge=1, le=10_000)
    widths: Widths = setting((), "width of the residual stream in each stage (absent: that of the embedding)", affects="cost")

    def layer_widths(self) -> tuple[int, ...]:
        widths = self.widths or (self.width,)
        if self.depth % len(widths):
            stages = len(widths)
            raise ConfigError("depth", f"{self.depth} layers cannot be shared equally by {stages} widths; choose a multiple of {stages}")
        return tuple(width for width in widths for _ in range(self.depth // len(widths)))


class UnetConfig(StagedConfig):
    """A stack of blocks with learned skips from its first half to its second."""

    kind: Literal["unet"] = "unet"
    widths: Widths = setting(
        (), "width of each stage, the same read backwards (absent: that of the embedding)", alternative=(32, 16, 32), affects="cost"
    )

    tiny: ClassVar[dict[str, Any]] = {"depth": 3}

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if self.widths and self.widths[0] != self.width:
            raise ConfigError("widths", f"begin with {self.widths[0]} and the embedding has the width {self.width}; make them equal")
        if self.widths != self.widths[::-1]:
            raise ConfigError(
                "widths", f"{list(self.widths)} are not the same read backwards, as skips join layers of one width; mirror them"
            )

    def build_module(self, vocabulary: int) -> Model:
        return Unet(self, vocabulary)


class Unet(Stack):
    """x_l = block_l(P_l x_{l-1} + w_l x_{L+1-l}) in the second half of the layers, counted from 1: the U-Net at full length.

    Each layer of the second half reads the output of its partner in the first half as well, the last one first; w_l is a learned number
    that begins at 1. So it is in the record of modded-nanogpt of 2024-11-10 ("UNetDoubleLr"), which takes its name from Ronneberger et
    al. (arXiv 1505.04597). Every connection stays at its position, so nothing can leak. With an even depth the first layer of the second
    half reads (1 + w) x, as in the record; with an odd one the layer in the middle has no partner. The rest of that record (x0 in every
    block, value residual, QK-norm, ReLU^2, capped logits) are settings of the block and of the head, not of this model.

    `widths` narrow and widen, [512, 256, 128, 256, 512] for instance: they are the same read backwards, so that partners have one width
    and no skip needs a map. The narrow stages cost less, and the skips carry past them what they have no room for. The first and last
    width is that of the embedding.
    """

    def __init__(self, config: UnetConfig, vocabulary: int) -> None:
        super().__init__(config, vocabulary)
        self.saved_layers = config.depth // 2
        self.skips = nn.Parameter(torch.ones(self.saved_layers))  # w, in the order of the layers whose outputs they weigh

    def layer_input(self, index: int, x: Tensor, saved_outputs: list[Tensor]) -> Tensor:
        partner = len(self.blocks) - 1 - index
        return x + self.skips[partner] * saved_outputs[partner] if partner < index else x


class PyramidConfig(StagedConfig):
    """A stack of blocks that narrows from stage to stage."""

    kind: Literal["pyramid"] = "pyramid"
    widths: Widths = setting((256, 192, 128), "width of each stage, at most that of the one before", alternative=(24, 24), affects="cost")

    tiny: ClassVar[dict[str, Any]] = {"widths": (32, 16)}

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        widths = (self.width, *self.widths)
        if list(widths) != sorted(widths, reverse=True):
            raise ConfigError(
                "widths", f"{list(self.widths)} after an embedding of {self.width} widen somewhere; put them in falling order"
            )

    def build_module(self, vocabulary: int) -> Model:
        return Pyramid(self, vocabulary)


class Pyramid(Stack):
    """x_l = block_l(P_l x_{l-1}), no wider than x_{l-1}; logits = readout(x_L). The widths are [512, 384, 256] for instance.

    Early layers, near the single tokens, have more room than late ones, which cost less. Funnel-Transformer (Dai et al., arXiv 2006.03236)
    narrows the sequence as it goes up; here it is the width, and every position stays, so nothing can leak. (Shorter sequences are those
    of an `hourglass`, several of whose levels are also called a pyramid.)

    The head reads the last width. Untied, it has a matrix [V, last width] of its own. Tied, it needs the width of the embedding, and a
    linear map behind the final norm leads back to it: the embedding's table times that map is a head of the last width's rank.
    """
