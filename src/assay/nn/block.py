"""One block of a model: x + mixer(norm(x)), then x + feedforward(norm(x)), or another rule by which branches join the stream."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from assay.core.config import Config, SerializeAsAny, setting
from assay.core.types import State, add_means
from assay.nn.dropout import Dropout
from assay.nn.feedforward.base import FeedforwardConfig
from assay.nn.feedforward.dense import MlpConfig
from assay.nn.mixer.base import AuxOutputs, LayerInputs, MixerConfig
from assay.nn.mixer.full import FullConfig
from assay.nn.norm import LayerNormConfig, NormConfig
from assay.nn.residual import Placement, PlainConfig, ResidualConfig


class BlockConfig(Config):
    """The parts of one layer."""

    mixer: SerializeAsAny[MixerConfig] = setting(FullConfig(), "how positions exchange information", alternative={"heads": 4})
    feedforward: SerializeAsAny[FeedforwardConfig] = setting(MlpConfig(), "how each position is transformed alone", alternative="glu")
    norm: SerializeAsAny[NormConfig] = setting(LayerNormConfig(), "the norm at the mixer and at the feed-forward", alternative="rms_norm")
    placement: Placement = setting("pre", "norm of a branch's input, of the sum after it, of input and output, or none", alternative="post")
    residual: SerializeAsAny[ResidualConfig] = setting(PlainConfig(), "how the branches join the stream", alternative="layer_scale")
    mixer_dropout: float = setting(0.0, "dropout of the mixer's output", alternative=0.5, affects="training", ge=0, lt=1)
    feedforward_dropout: float = setting(0.0, "dropout of the feed-forward's output", alternative=0.5, affects="training", ge=0, lt=1)

    def model_post_init(self, context: Any) -> None:
        self.residual.check(self.placement)

    def build(self, width: int, layer: int = 0, layers: int | None = None) -> "Block":
        """Build the module for a residual stream of size `width`; `layer` counts from 0. Some residual rules need the number of layers."""
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
        self.feedforward_norm = nn.Identity() if self.placement == "none" else norm.build(width)
        self.feedforward = config.feedforward.build(width)
        self.mixer_output_norm, self.feedforward_output_norm = (
            norm.build(width) if self.placement == "sandwich" else nn.Identity() for _ in range(2)
        )
        self.mixer_dropout, self.feedforward_dropout = Dropout(config.mixer_dropout), Dropout(config.feedforward_dropout)
        self.residual.scale_branch_weights(self.mixer, self.feedforward)

    @property
    def incompatible_outputs(self) -> Mapping[str, str]:
        """Values of init.outputs that do not go with this block, and why."""
        reason = "is undone by the norm that follows with placement 'sandwich' as soon as anything is learned; set it to 'plain'"
        return {"zero": reason} if self.placement == "sandwich" else {}

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        post = self.placement == "post"
        x = self.residual.prepare_input(x, inputs)
        y, state, first = self.mixer(x if post else self.mixer_norm(x), state, inputs)
        x = self.residual.add(x, self.mixer_dropout(self.mixer_output_norm(y)), "mixer")
        x = self.mixer_norm(x) if post else x
        y, second = self.feedforward(x if post else self.feedforward_norm(x))
        x = self.residual.add(x, self.feedforward_dropout(self.feedforward_output_norm(y)), "feedforward")
        x = self.feedforward_norm(x) if post else x
        return x, state, AuxOutputs(add_means(first.losses, second.losses), add_means(first.stats, second.stats), first.value)
