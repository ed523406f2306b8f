"""The pyramid: a stack of blocks whose residual stream only narrows, [512, 384, 256] for instance.

Early layers, near the single tokens, have more room than late ones, which cost less. Funnel-Transformer (Dai et al., arXiv 2006.03236)
narrows the sequence as it goes up; here it is the width, and every position stays, so nothing can leak. (Shorter sequences are those of an
`hourglass`, several of whose levels are also called a pyramid.) The stream goes through a linear map wherever the width changes
(`stack.py`), from the embedding to the first stage too where that is narrower.

The head reads the last width. Untied, it has a matrix [V, last width] of its own. Tied, it needs the width of the embedding, and a linear
map behind the final norm leads back to it: the embedding's table times that map is a head of the last width's rank.
"""

from typing import Any, ClassVar, Literal

import torch
from torch import nn

from assay.core.config import setting
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.readout import Readout
from assay.models.stack import Stack, StackConfig, Widths
from assay.models.stem import stream_map
from assay.nn.embedding import FactorisedEmbedding


class PyramidConfig(StackConfig):
    """A stack of blocks that narrows from stage to stage."""

    kind: Literal["pyramid"] = "pyramid"
    widths: Widths = setting((256, 192, 128), "width of each stage, at most that of the one before", other=(24, 24), bites="cost")

    tiny: ClassVar[dict[str, Any]] = {"widths": (32, 16)}

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        widths = (self.width, *self.widths)
        if list(widths) != sorted(widths, reverse=True):
            raise ConfigError(
                "widths", f"{list(self.widths)} after an embedding of {self.width} widen somewhere; put them in falling order"
            )

    def build(self, vocabulary: int, generator: torch.Generator) -> Model:
        model = Pyramid(self, vocabulary)
        model.fill(model, generator)
        return model


class Pyramid(Stack):
    """x_l = block_l(P_l x_{l-1}), no wider than x_{l-1}; logits = readout(x_L)."""

    def __init__(self, config: PyramidConfig, vocabulary: int) -> None:
        super().__init__(config, vocabulary)
        self.readout = _readout(config, self.embedding)
        self.refuse_unheard_positions()


def _readout(config: PyramidConfig, embedding: nn.Embedding | FactorisedEmbedding) -> Readout:
    """What follows the last block, as wide as it."""
    last = config.layer_widths()[-1]
    norm = nn.Identity() if config.block.placement == "post" else (config.norm or config.block.norm).build(last)
    if not config.head.tied:
        return Readout(config.head, norm, nn.Embedding(embedding.num_embeddings, last, device="meta"))  # its shape alone is read
    return Readout(config.head, norm if last == config.width else nn.Sequential(norm, stream_map(last, config.width, config)), embedding)
