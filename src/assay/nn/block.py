"""One block of a trunk: x + mixer(norm(x)), then x + feed(norm(x)), or another rule by which branches join the stream."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from assay.core.config import Config, SerializeAsAny, setting
from assay.core.types import State, add_means
from assay.nn.dropout import Dropout
from assay.nn.feed.base import FeedConfig
from assay.nn.feed.mlp import MlpConfig
from assay.nn.mixer.base import Extras, MixerConfig, Where
from assay.nn.mixer.full import FullConfig
from assay.nn.norm import LayerNormConfig, NormConfig
from assay.nn.residual import Placement, PlainConfig, ResidualConfig


class BlockConfig(Config):
    """What one layer is made of."""

    mixer: SerializeAsAny[MixerConfig] = setting(FullConfig(), "how positions exchange information", other={"heads": 4})
    feed: SerializeAsAny[FeedConfig] = setting(MlpConfig(), "what each position does alone", other="glu")
    norm: SerializeAsAny[NormConfig] = setting(LayerNormConfig(), "the norm at the mixer and at the feed-forward", other="rms_norm")
    placement: Placement = setting(
        "pre", "norm of what enters a branch, of the sum after it, of what enters and leaves it, or no norm", other="post"
    )
    residual: SerializeAsAny[ResidualConfig] = setting(PlainConfig(), "how the branches join the stream", other="layer_scale")
    mixer_dropout: float = setting(0.0, "dropout of the mixer's output", other=0.5, bites="training", ge=0, lt=1)
    feed_dropout: float = setting(0.0, "dropout of the feed-forward's output", other=0.5, bites="training", ge=0, lt=1)

    def model_post_init(self, context: Any) -> None:
        self.residual.check(self.placement)

    def build(self, width: int, layer: int = 0, layers: int | None = None) -> "Block":
        """The module for a residual stream of size `width`; `layer` counts from 0. Some residual rules need to know of how many layers."""
        return Block(self, width, layer, layers)


class Block(nn.Module):
    """With f the mixer, then the feed-forward, and where the residual rule is plain:

    pre       x <- x + f(norm(x))
    post      x <- norm(x + f(x))            the original Transformer's; needs warm-up
    sandwich  x <- x + norm'(f(norm(x)))     CogView's (arXiv 2105.13290) and Gemma 2's; norm' is as `norm`, with gains of its own
    none      x <- x + f(x)
    """

    def __init__(self, config: BlockConfig, width: int, layer: int, layers: int | None = None) -> None:
        super().__init__()
        self.placement, norm = config.placement, config.norm
        self.residual = config.residual.build(width, layers)
        self.mixer_norm = nn.Identity() if self.placement == "none" else norm.build(width)
        self.mixer = config.mixer.build(width, layer)
        self.feed_norm = nn.Identity() if self.placement == "none" else norm.build(width)
        self.feed = config.feed.build(width)
        self.mixer_output_norm, self.feed_output_norm = (
            norm.build(width) if self.placement == "sandwich" else nn.Identity() for _ in range(2)
        )
        self.mixer_dropout, self.feed_dropout = Dropout(config.mixer_dropout), Dropout(config.feed_dropout)
        self.residual.mark(self.mixer, self.feed)

    @property
    def refused_outputs(self) -> Mapping[str, str]:
        """Why a value of init.outputs does not go with this block."""
        if self.placement == "sandwich":
            return {
                "zero": "is undone by the norm that follows with placement 'sandwich' as soon as anything is learned; set it to 'plain'"
            }
        return {}

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        post = self.placement == "post"
        x = self.residual.enter(x, where)
        mixed, state, extras = self.mixer(x if post else self.mixer_norm(x), state, where)
        x = self.residual.add(x, self.mixer_dropout(self.mixer_output_norm(mixed)), "mixer")
        x = self.mixer_norm(x) if post else x
        fed, more = self.feed(x if post else self.feed_norm(x))
        x = self.residual.add(x, self.feed_dropout(self.feed_output_norm(fed)), "feed")
        x = self.feed_norm(x) if post else x
        return x, state, Extras(add_means(extras.losses, more.losses), add_means(extras.stats, more.stats), extras.value)
