"""Attention whose four maps are products of two thin matrices: W = U V, U [D_out, R], V [R, D_in].

Each of W_q, W_k, W_v and W_o has R (D_in + D_out) parameters; that is fewer than D_in D_out only for R < D_in D_out / (D_in + D_out), D / 2
in a square map. Heads keep their size, unlike in mixer `bottleneck`, so the cache and the cost of the logits are those of full attention.
At the beginning R Var(U) Var(V) = Var(W): the product varies as the unfactorised matrix would.

Khodak et al. (arXiv 2105.01029) begin from the singular values of a drawn W; here the factors are drawn independently. LoRA
(arXiv 2106.09685) factorises an update, not the map; Linformer (arXiv 2006.04768) mixes all positions, the future included, and is
therefore not here.
"""

from functools import partial
from typing import Any, ClassVar, Literal

from torch import Tensor

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.linear import FactorisedLinear
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import NOTHING, Extras, Mixer, Where


class LowRankConfig(AttentionConfig):
    """Attention over the whole past with factorised projections."""

    kind: Literal["low_rank"] = "low_rank"
    rank: int = setting(32, "inner size R of each projection", other=6, bites="cost", ge=1)

    tiny: ClassVar[dict[str, Any]] = {"rank": 8}

    def check(self, width: int) -> None:
        if self.rank > width:
            raise ConfigError("rank", f"{self.rank} exceeds the width {width}, and no map from it has a higher rank; lower it")
        super().check(width)

    def build(self, width: int, layer: int = 0) -> Mixer:
        return LowRank(self, width, layer)


class LowRank(Attention):
    """Full attention with W = U V in its projections."""

    def __init__(self, config: LowRankConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer, linear=partial(FactorisedLinear, rank=config.rank))

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        o, state = self.attend_to_past(*self.split(x, where), state, where)
        return self.join(o), state, NOTHING
