"""Dense feed-forward layers, each a kind: two maps with a function between them, which every position passes whole."""

from functools import partial
from typing import Any, ClassVar, Literal

from assay.core.config import SerializeAsAny, setting
from assay.errors import ConfigError
from assay.nn.activation import ActivationConfig, GeluConfig, ReluConfig, SiluConfig
from assay.nn.feedforward.base import DenseFeedforward, FeedforwardConfig, InnerActivation
from assay.nn.linear import FactorisedLinear


class MlpConfig(FeedforwardConfig):
    """y = W_2 f(W_1 x): the two-layer perceptron of the Transformer (Vaswani et al., arXiv 1706.03762, section 3.3)."""

    kind: Literal["mlp"] = "mlp"
    also_called: ClassVar[tuple[str, ...]] = ("ffn", "dense", "feedforward")
    hidden: int | None = setting(None, "inner width F (absent: four times the width)", alternative=24, affects="cost", ge=1)
    activation: SerializeAsAny[ActivationConfig] = setting(GeluConfig(), "the function f", alternative="relu2")
    bias: bool = setting(True, "biases in both maps", alternative=False, affects="cost")

    def build(self, width: int) -> DenseFeedforward:
        return DenseFeedforward(InnerActivation(self.activation, gated=False), width, self.hidden or 4 * width, self.bias)


class GluConfig(FeedforwardConfig):
    """y = W_2 (f(W_g x) * W_1 x), a gated linear unit. F = 8/3 D has as many parameters as a perceptron of four times the width.

    SwiGLU is that with silu, GEGLU with gelu, ReGLU with relu (Shazeer, arXiv 2002.05202); each name is a preset.
    """

    kind: Literal["glu"] = "glu"
    also_called: ClassVar[tuple[str, ...]] = ("gated",)
    hidden: int | None = setting(None, "inner width F (absent: 8/3 of the width, a multiple of 8)", alternative=24, affects="cost", ge=1)
    activation: SerializeAsAny[ActivationConfig] = setting(SiluConfig(), "the function f of the gate", alternative="gelu")
    bias: bool = setting(False, "biases in the three maps", alternative=True, affects="cost")

    def build(self, width: int) -> DenseFeedforward:
        inner = InnerActivation(self.activation, gated=True)
        return DenseFeedforward(inner, width, self.hidden or inner.default_hidden_size(width), self.bias)


class LowRankFeedforwardConfig(FeedforwardConfig):
    """y = U_2 V_2 f(U_1 V_1 x): the maps are products of two thin matrices, W = U V, U [D_out, R], V [R, D_in].

    Each W has R (D_in + D_out) parameters, fewer than D_in D_out only for R < D_in D_out / (D_in + D_out): 4/5 of the width D in a
    perceptron of inner width 4 D. At the beginning R Var(U) Var(V) = Var(W): the product varies as the unfactorised matrix would. The
    control is a dense layer of equal size, `mlp` or `glu` of a smaller inner width.

    Khodak et al. (arXiv 2105.01029) begin from the singular values of a drawn W and regularise the product; here the factors are drawn
    independently and decay each by itself, as any matrix does.
    """

    kind: Literal["low_rank"] = "low_rank"
    rank: int = setting(32, "inner size R of each map", alternative=6, affects="cost", ge=1)
    hidden: int | None = setting(
        None, "inner width F (absent: four times the width, with a gate 8/3, a multiple of 8)", alternative=24, affects="cost", ge=1
    )
    gated: bool = setting(False, "f(W_g x) * W_1 x in the place of f(W_1 x)", alternative=True, affects="cost")
    activation: SerializeAsAny[ActivationConfig] = setting(GeluConfig(), "the function f", alternative="relu2")
    bias: bool = setting(True, "biases in the maps", alternative=False, affects="cost")

    tiny: ClassVar[dict[str, Any]] = {"rank": 8}

    def check(self, width: int) -> None:
        narrow = min(width, self.hidden or width)
        if self.rank > narrow:
            raise ConfigError("rank", f"{self.rank} exceeds {narrow}, the smaller side of the maps, whose rank is no higher; lower it")

    def build(self, width: int) -> DenseFeedforward:
        inner = InnerActivation(self.activation, self.gated)
        hidden = self.hidden or inner.default_hidden_size(width)
        return DenseFeedforward(inner, width, hidden, self.bias, linear=partial(FactorisedLinear, rank=self.rank))


FeedforwardConfig.add_preset(
    "swiglu", "A gated linear unit with silu: LLaMA's feed-forward layer.", lambda: GluConfig(activation=SiluConfig())
)
FeedforwardConfig.add_preset("geglu", "A gated linear unit with gelu.", lambda: GluConfig(activation=GeluConfig()))
FeedforwardConfig.add_preset("reglu", "A gated linear unit with relu.", lambda: GluConfig(activation=ReluConfig()))
