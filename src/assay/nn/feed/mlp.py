"""The two-layer perceptron of the Transformer (Vaswani et al., arXiv 1706.03762, section 3.3)."""

from typing import Literal

from torch import Tensor

from assay.core.config import SerializeAsAny, setting
from assay.nn.activation import ActivationConfig, GeluConfig
from assay.nn.feed.base import Feed, FeedConfig
from assay.nn.linear import Linear
from assay.nn.mixer.base import NOTHING, Extras


class MlpConfig(FeedConfig):
    """y = W_2 f(W_1 x)."""

    kind: Literal["mlp"] = "mlp"
    hidden: int | None = setting(None, "inner width F (absent: four times the width)", other=24, bites="cost", ge=1)
    activation: SerializeAsAny[ActivationConfig] = setting(GeluConfig(), "the function f", other="relu2")
    bias: bool = setting(True, "biases in both maps", other=False, bites="cost")

    def build(self, width: int) -> Feed:
        return Mlp(self, width)


class Mlp(Feed):
    """y = W_2 f(W_1 x), W_1 [F, D], W_2 [D, F]."""

    def __init__(self, config: MlpConfig, width: int) -> None:
        super().__init__()
        hidden = config.hidden or 4 * width
        self.expand = Linear(width, hidden, bias=config.bias)
        self.contract = Linear(hidden, width, bias=config.bias, residual=True)
        self.activation = config.activation

    def forward(self, x: Tensor) -> tuple[Tensor, Extras]:
        return self.contract(self.activation.apply(self.expand(x))), NOTHING
