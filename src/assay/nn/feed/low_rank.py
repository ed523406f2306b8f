"""A feed-forward layer whose maps are products of two thin matrices: W = U V, U [D_out, R], V [R, D_in].

Each W has R (D_in + D_out) parameters, fewer than D_in D_out only for R < D_in D_out / (D_in + D_out): 4/5 of the width D in a perceptron
of inner width 4 D. At the beginning R Var(U) Var(V) = Var(W): the product varies as the unfactorised matrix would. The control is a dense
layer of equal size, `mlp` or `glu` of a smaller inner width.

Khodak et al. (arXiv 2105.01029) begin from the singular values of a drawn W and regularise the product; here the factors are drawn
independently and decay each by itself, as any matrix does.
"""

from typing import Any, ClassVar, Literal

from torch import Tensor

from assay.core.config import SerializeAsAny, setting
from assay.errors import ConfigError
from assay.nn.activation import ActivationConfig, GeluConfig
from assay.nn.feed.base import Feed, FeedConfig
from assay.nn.feed.inner import Inner
from assay.nn.linear import FactorisedLinear
from assay.nn.mixer.base import NOTHING, Extras


class LowRankConfig(FeedConfig):
    """y = U_2 V_2 f(U_1 V_1 x)."""

    kind: Literal["low_rank"] = "low_rank"
    rank: int = setting(32, "inner size R of each map", other=6, bites="cost", ge=1)
    hidden: int | None = setting(
        None, "inner width F (absent: four times the width, with a gate 8/3, rounded up to a multiple of 8)", other=24, bites="cost", ge=1
    )
    gated: bool = setting(False, "f(W_g x) * W_1 x in the place of f(W_1 x)", other=True, bites="cost")
    activation: SerializeAsAny[ActivationConfig] = setting(GeluConfig(), "the function f", other="relu2")
    bias: bool = setting(True, "biases in the maps", other=False, bites="cost")

    tiny: ClassVar[dict[str, Any]] = {"rank": 8}

    def inner(self) -> Inner:
        """What is between the maps."""
        return Inner(self.activation, self.gated)

    def check(self, width: int) -> None:
        narrow = min(width, self.hidden or width)
        if self.rank > narrow:
            raise ConfigError("rank", f"{self.rank} exceeds {narrow}, the smaller side of the maps, whose rank is no higher; lower it")

    def build(self, width: int) -> Feed:
        return LowRank(self, width)


class LowRank(Feed):
    """y = W_2 f(W_1 x), or W_2 (f(W_g x) * W_1 x), each W = U V."""

    def __init__(self, config: LowRankConfig, width: int) -> None:
        super().__init__()
        self.inner = config.inner()
        hidden = config.hidden or self.inner.width(width)
        heights = self.inner.heights(hidden)
        self.expand = FactorisedLinear(width, sum(heights), rank=config.rank, bias=config.bias, parts=heights)
        self.contract = FactorisedLinear(hidden, width, rank=config.rank, bias=config.bias, residual=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Extras]:
        return self.contract(self.inner(self.expand(x))), NOTHING
