"""Interface of feed-forward layers, the part of a block that works on each position alone, and the layer that most kinds are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from assay.core.config import Config
from assay.nn.activation import ActivationConfig
from assay.nn.linear import Linear
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs

HIDDEN_SIZE_MULTIPLE = 8  # of which an inner width that is not given is one


class Feedforward(nn.Module):
    """y, aux = feedforward(x), x and y [B, T, D], each position by itself."""

    aux_loss_weights: ClassVar[Mapping[str, float]] = {}  # names of the losses in AuxOutputs, and their weights where none are set
    property_exemptions: ClassVar[Mapping[str, str]] = {}  # property of the suite that cannot hold -> reason
    selects_experts: ClassVar[bool] = False  # whether it picks some of several, so that rounding can decide between near equals

    def forward(self, x: Tensor) -> tuple[Tensor, AuxOutputs]:
        """Transform each position."""
        raise TypeError(f"{type(self).__name__} does not define forward")


class FeedforwardConfig(Config, family="feedforward", package="assay.nn.feedforward"):
    """The part of a block that works on each position alone."""

    def check(self, width: int) -> None:
        """Raise ConfigError where the settings cannot hold together in a model of this width."""

    def build(self, width: int) -> Feedforward:
        """Build the module for a residual stream of size `width`."""
        raise TypeError(f"{type(self).__name__} does not define build")


@dataclass(frozen=True, slots=True)
class InnerActivation:
    """The function between the two maps of a feed-forward layer: f(a), or with a gate f(a) * b."""

    activation: ActivationConfig
    gated: bool

    def matrix_heights(self, hidden: int) -> tuple[int, ...]:
        """Return the heights of the matrices of the first map, for an inner width F: W_1 [F, D], or W_g and W_1."""
        return (hidden, hidden) if self.gated else (hidden,)

    def default_hidden_size(self, width: int, parts: int = 1) -> int:
        """Compute F such that `parts` such layers have together the matrices 8 D^2 of a perceptron of four times the width D."""
        whole = 8 * width / 3 if self.gated else 4 * width
        return -(-int(-(-whole // parts)) // HIDDEN_SIZE_MULTIPLE) * HIDDEN_SIZE_MULTIPLE

    def __call__(self, h: Tensor) -> Tensor:
        """Apply the function to the output of the first map, [..., F] or [..., 2 F] with a gate -> [..., F]."""
        if not self.gated:
            return self.activation.apply(h)
        gate, value = h.chunk(2, dim=-1)
        return self.activation.apply(gate) * value


class DenseFeedforward(Feedforward):
    """y = W_2 f(W_1 x), or W_2 (f(W_g x) * W_1 x), W_g and W_1 [F, D] fused in one map, W_2 [D, F]. `linear` makes both maps."""

    def __init__(self, inner: InnerActivation, width: int, hidden: int, bias: bool, linear: Callable[..., Any] = Linear) -> None:
        super().__init__()
        heights = inner.matrix_heights(hidden)
        self.inner = inner
        self.expand = linear(width, sum(heights), bias=bias, parts=heights)
        self.contract = linear(hidden, width, bias=bias, residual=True)

    def forward(self, x: Tensor) -> tuple[Tensor, AuxOutputs]:
        return self.contract(self.inner(self.expand(x))), NO_AUX_OUTPUTS
