"""Gated linear units (Shazeer, arXiv 2002.05202): SwiGLU with silu, GEGLU with gelu, ReGLU with relu; each name is a preset."""

from typing import Literal

from torch import Tensor

from assay.core.config import SerializeAsAny, preset, setting
from assay.nn.activation import ActivationConfig, GeluConfig, ReluConfig, SiluConfig
from assay.nn.feed.base import Feed, FeedConfig
from assay.nn.linear import Linear
from assay.nn.mixer.base import NOTHING, Extras


class GluConfig(FeedConfig):
    """y = W_2 (f(W_g x) * W_1 x). F = 8/3 D has as many parameters as a perceptron of four times the width."""

    kind: Literal["glu"] = "glu"
    hidden: int | None = setting(
        None, "inner width F (absent: 8/3 of the width, rounded up to a multiple of 8)", other=24, bites="cost", ge=1
    )
    activation: SerializeAsAny[ActivationConfig] = setting(SiluConfig(), "the function f of the gate", other="gelu")
    bias: bool = setting(False, "biases in the three maps", other=True, bites="cost")

    def build(self, width: int) -> Feed:
        return Glu(self, width)


class Glu(Feed):
    """y = W_2 (f(W_g x) * W_1 x), W_g and W_1 [F, D] fused in one map, W_2 [D, F]."""

    def __init__(self, config: GluConfig, width: int) -> None:
        super().__init__()
        hidden = config.hidden or -(-8 * width // 3 // 8) * 8
        self.expand = Linear(width, 2 * hidden, bias=config.bias, parts=(hidden, hidden))
        self.contract = Linear(hidden, width, bias=config.bias, residual=True)
        self.activation = config.activation

    def forward(self, x: Tensor) -> tuple[Tensor, Extras]:
        gate, value = self.expand(x).chunk(2, dim=-1)
        return self.contract(self.activation.apply(gate) * value), NOTHING


@preset("swiglu")
def swiglu() -> GluConfig:
    """A gated linear unit with silu: LLaMA's feed-forward layer."""
    return GluConfig(activation=SiluConfig())


@preset("geglu")
def geglu() -> GluConfig:
    """A gated linear unit with gelu."""
    return GluConfig(activation=GeluConfig())


@preset("reglu")
def reglu() -> GluConfig:
    """A gated linear unit with relu."""
    return GluConfig(activation=ReluConfig())
