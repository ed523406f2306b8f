"""One block of a trunk: x + mixer(norm(x)), then x + feed(norm(x))."""

from typing import Literal

from torch import Tensor, nn

from assay.core.config import Config, SerializeAsAny, setting
from assay.core.types import State, add_means
from assay.nn.dropout import Dropout
from assay.nn.feed.base import FeedConfig
from assay.nn.feed.mlp import MlpConfig
from assay.nn.mixer.base import Extras, MixerConfig, Where
from assay.nn.mixer.full import FullConfig
from assay.nn.norm import LayerNormConfig, NormConfig


class BlockConfig(Config):
    """What one layer is made of."""

    mixer: SerializeAsAny[MixerConfig] = setting(FullConfig(), "how positions exchange information", other={"heads": 4})
    feed: SerializeAsAny[FeedConfig] = setting(MlpConfig(), "what each position does alone", other="glu")
    norm: SerializeAsAny[NormConfig] = setting(LayerNormConfig(), "the norm at the mixer and at the feed-forward", other="rms_norm")
    placement: Literal["pre", "post"] = setting("pre", "norm of what enters a branch, or of the sum after it", other="post")
    mixer_dropout: float = setting(0.0, "dropout of the mixer's output", other=0.5, bites="training", ge=0, lt=1)
    feed_dropout: float = setting(0.0, "dropout of the feed-forward's output", other=0.5, bites="training", ge=0, lt=1)

    def build(self, width: int, layer: int = 0) -> "Block":
        """The module for a residual stream of size `width`; `layer` counts from 0."""
        return Block(self, width, layer)


class Block(nn.Module):
    """pre: x <- x + f(norm(x)); post: x <- norm(x + f(x)) (the original Transformer's; needs warm-up)."""

    def __init__(self, config: BlockConfig, width: int, layer: int) -> None:
        super().__init__()
        self.mixer_norm, self.mixer = config.norm.build(width), config.mixer.build(width, layer)
        self.feed_norm, self.feed = config.norm.build(width), config.feed.build(width)
        self.mixer_dropout, self.feed_dropout = Dropout(config.mixer_dropout), Dropout(config.feed_dropout)
        self.pre = config.placement == "pre"

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        mixed, state, extras = self.mixer(self.mixer_norm(x) if self.pre else x, state, where)
        x = x + self.mixer_dropout(mixed)
        x = x if self.pre else self.mixer_norm(x)
        fed, more = self.feed(self.feed_norm(x) if self.pre else x)
        x = x + self.feed_dropout(fed)
        x = x if self.pre else self.feed_norm(x)
        return x, state, Extras(add_means(extras.losses, more.losses), add_means(extras.stats, more.stats), extras.value)
