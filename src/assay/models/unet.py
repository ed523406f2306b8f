"""The U-Net at full length: the second half of the layers reads the outputs of the first half as well, the last one first.

Layer L - 1 - i reads x + w_i y_i, x being what the layer before it gave and y_i what layer i gave; w_i is a learned number that begins at
1. So it is in the record of modded-nanogpt of 2024-11-10 ("UNetDoubleLr"), which takes its name from Ronneberger et al. (arXiv 1505.04597).
Every connection stays at its position, so nothing can leak. With an even depth the first layer of the second half reads (1 + w) x, as in
the record; with an odd one the layer in the middle has no partner. The rest of that record (x0 in every block, value residual, QK-norm,
ReLU^2, capped logits) are settings of the block and of the head, not of this trunk.

`widths` narrow and widen, [512, 256, 128, 256, 512] for instance: they are the same read backwards, so that partners have one width and no
skip needs a map; the stream itself goes through a linear map wherever they change (`stack.py`). The narrow stages cost less, and the skips
carry past them what they have no room for. The first and last width is that of the embedding.
"""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.stack import Stack, StackConfig, Widths


class UnetConfig(StackConfig):
    """A stack of blocks with learned skips from its first half to its second."""

    kind: Literal["unet"] = "unet"
    widths: Widths = setting(
        (), "width of each stage, the same read backwards (absent: that of the embedding)", other=(32, 16, 32), bites="cost"
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

    def build(self, vocabulary: int, generator: torch.Generator) -> Model:
        model = Unet(self, vocabulary)
        model.fill(model, generator)
        return model


class Unet(Stack):
    """x_l = block_l(P_l x_{l-1} + w_l x_{L+1-l}) in the second half of the layers, counted from 1."""

    def __init__(self, config: UnetConfig, vocabulary: int) -> None:
        super().__init__(config, vocabulary)
        self.remembered = config.depth // 2
        self.skips = nn.Parameter(torch.ones(self.remembered))  # w, in the order of the layers whose outputs they weigh
        self.readout = self.build_readout(config)
        self.refuse_unheard_positions()

    def joined(self, index: int, x: Tensor, given: list[Tensor]) -> Tensor:
        partner = len(self.blocks) - 1 - index
        return x + self.skips[partner] * given[partner] if partner < index else x
