"""Attention in a bottleneck: queries, keys and values of a width R smaller than the model's.

W_q, W_k, W_v are [R, D] and W_o [D, R], so a layer has 4 D R parameters (and biases) instead of 4 D^2, a cache of 2 R numbers a token
instead of 2 D, and the logits of each of its H heads a rank of at most R / H. Logits are divided by sqrt(R / H), the size of a head here,
not of one in the full width.

This is what one public "sparse attention" of hobby code in fact computes, whose settings `intermediate_dim` and `bottleneck_size` are R:
nothing in it is sparse. R = D gives full attention. The idea has no paper of its own; the rank of heads is discussed by Bhojanapalli et al.
(arXiv 2002.07028).
"""

from typing import Any, ClassVar, Literal

from torch import Tensor

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.mixer.attention import Attention, HeadsConfig
from assay.nn.mixer.base import NOTHING, Extras, Mixer, Where


class BottleneckConfig(HeadsConfig):
    """Attention over the whole past in a smaller inner width."""

    kind: Literal["bottleneck"] = "bottleneck"
    inner: int = setting(64, "width R of queries, keys and values, all heads together", other=24, bites="cost", ge=1)

    tiny: ClassVar[dict[str, Any]] = {"inner": 16}

    def size_of_head(self, width: int) -> int:
        """K = R / H."""
        return self.inner // self.heads

    def check(self, width: int) -> None:
        if self.inner % self.heads:
            raise ConfigError("inner", f"{self.inner} features cannot be shared equally among {self.heads} heads; choose a multiple")
        if self.inner > width:
            raise ConfigError("inner", f"{self.inner} features are no bottleneck of a width of {width}; lower it, or use mixer full")
        super().check(width)

    def build(self, width: int, layer: int = 0) -> Mixer:
        return Bottleneck(self, width, layer)


class Bottleneck(Attention):
    """y = W_o concat_h softmax(q_h k_h^T / sqrt(R / H)) v_h."""

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        o, state = self.attend_to_past(*self.split(x, where), state, where)
        return self.join(o), state, NOTHING
