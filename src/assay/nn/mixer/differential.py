"""Differential attention (Ye et al., Differential Transformer, arXiv 2410.05258, section 2.1): the difference of two softmaxes.

o_h = (softmax(q1 k1^T / sqrt(K)) - lambda softmax(q2 k2^T / sqrt(K))) v, then o_h <- (1 - lambda_0) RMSNorm(o_h) for each head, its gain
shared by the heads. H heads have two queries and keys of K = D / 2H features each and a value of 2K, so the parameters are those of full
attention without biases, plus 4K + 2K.

lambda = exp(a1 . b1) - exp(a2 . b2) + lambda_0, with a1, b1, a2, b2 ~ N(0, 0.1) in R^K, one set a layer. lambda_0 = 0.8 - 0.6 exp(-0.3 l)
for layer l from 0 (the paper counts from 1 and subtracts 1), or one constant for all layers, which the paper finds nearly as good (0.8).

Rows of the difference sum to 1 - lambda. The paper compares at 8 or more heads; with two it usually loses. Positions enter both maps alike.
Ours has no option for biases, as theirs; eps of the norm is 1e-5.
"""

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.dropout import Dropout
from assay.nn.linear import Linear, Multiplier, NormalVectors
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs, LayerInputs, Mixer, MixerConfig, empty
from assay.nn.mixer.softmax_attention import KeyValue, apply_positions, attend, extend, mask_of_past, merge_heads
from assay.nn.norm import RmsNorm
from assay.nn.position.base import PositionMethod, rotate

LAMBDA_STD, NORM_EPS = 0.1, 1e-5  # section 2.1, and the released code


class DifferentialConfig(MixerConfig):
    """The difference of two attentions over the whole past."""

    kind: Literal["differential"] = "differential"
    heads: int = setting(4, "heads H: half as many as full attention would have, as each is twice as large", alternative=2, ge=1)
    lambda_init: float | None = setting(None, "lambda_0 (absent: 0.8 - 0.6 exp(-0.3 layer))", alternative=0.8, ge=0, lt=1)
    dropout: float = setting(0.0, "dropout of the weights of both attentions", alternative=0.5, affects="training", ge=0, lt=1)

    tiny: ClassVar[dict[str, Any]] = {"heads": 4}

    def size_of_head(self, width: int) -> int:
        """K = D / 2H."""
        return width // (2 * self.heads)

    def number_of_heads(self) -> int:
        return self.heads

    def check(self, width: int) -> None:
        if width % (2 * self.heads):
            raise ConfigError("heads", f"{self.heads} heads of two maps each do not divide the width {width}; choose another number")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return DifferentialAttention(self, width, layer)


class DifferentialAttention(Mixer):
    """o_h = (1 - lambda_0) RMSNorm(A1_h v_h - lambda A2_h v_h)."""

    position_methods: ClassVar[frozenset[PositionMethod]] = frozenset({"embed", "block_input", "rotation", "bias", "relative"})

    def __init__(self, config: DifferentialConfig, width: int, layer: int) -> None:
        super().__init__()
        self.layer, self.heads, self.head_size = layer, config.heads, config.size_of_head(width)
        self.lambda_init = 0.8 - 0.6 * math.exp(-0.3 * layer) if config.lambda_init is None else config.lambda_init
        self.project = Linear(width, 3 * width, bias=False, parts=(width, width, width))
        self.output = Linear(width, width, bias=False, residual=True)
        self.query_scale = Multiplier("queries", self.head_size)
        self.vectors = NormalVectors(4, self.head_size, LAMBDA_STD)  # a1, b1, a2, b2
        self.norm = RmsNorm(2 * self.head_size, NORM_EPS, learned=True)
        self.dropout = Dropout(config.dropout)

    @property
    def scale(self) -> Tensor:
        """lambda, in the precision of the parameters."""
        a1, b1, a2, b2 = self.vectors.weight
        return torch.exp((a1 * b1).sum()) - torch.exp((a2 * b2).sum()) + self.lambda_init

    def init_state(self, batch: int, like: Tensor) -> State:
        H, K = self.heads, self.head_size  # noqa: N806
        return KeyValue(empty(like, batch, 2 * H, 0, K), empty(like, batch, H, 0, 2 * K), empty(like, 1, 0, dtype=torch.int64), None)

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        B, T, D = x.shape  # noqa: N806
        H, K = self.heads, self.head_size  # noqa: N806
        qk, v = self.project(x).split((2 * D, D), dim=-1)
        v = v.view(B, T, H, 2 * K).transpose(1, 2)  # [B, H, T, 2K]
        q, k = rotate(qk.view(B, T, 4 * H, K), inputs.rotation).to(v.dtype).transpose(1, 2).chunk(2, dim=1)  # [B, 2H, T, K]
        past = extend(state, k, v, inputs)
        mask = mask_of_past(T, past.key.shape[2], inputs, past.document)
        first, second = (
            self._attend(one, keys, past, mask, inputs)
            for one, keys in zip(self.query_scale(q).chunk(2, dim=1), past.key.chunk(2, dim=1), strict=True)
        )
        o = self.norm(first - self.scale.to(first.dtype) * second).to(v.dtype) * (1 - self.lambda_init)
        return self.output(merge_heads(o)), None if state is None else past, NO_AUX_OUTPUTS

    def _attend(self, q: Tensor, k: Tensor, past: KeyValue, mask: Tensor | None, inputs: LayerInputs) -> Tensor:
        """Attend with one of the two maps -> [B, H, T, 2K]."""
        q, bias = apply_positions(q, inputs.position, past.position, inputs, self.layer, longest=k.shape[2], contiguous=True)
        return attend(q, k, past.value, mask, bias, self.dropout.rate)
