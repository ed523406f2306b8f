"""Sinusoidal positions (Vaswani et al., arXiv 1706.03762, section 3.5).

p_t[2 i] = sin(t / base^(2 i / D)), p_t[2 i + 1] = cos(t / base^(2 i / D)): nothing is learned, and any length has positions. The paper
multiplies the embedded tokens by sqrt(D) before it adds these; that is `embedding_scale` of the model.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.errors import ConfigError
from assay.nn.position.base import Position, PositionConfig, Sizes


class SinusoidalConfig(PositionConfig):
    """Fixed waves of D / 2 frequencies, added to the embedded tokens."""

    kind: Literal["sinusoidal"] = "sinusoidal"
    base: float = setting(10_000.0, "period of the slowest wave, divided by 2 pi", other=100.0, gt=1)

    def build(self, sizes: Sizes) -> Position:
        if sizes.width % 2:
            raise ConfigError("", f"pairs sines with cosines, and the width {sizes.width} is odd; make it even")
        return Sinusoidal(sizes.width, self.base)


class Sinusoidal(Position):
    """p_t, [D], of sines and cosines in turn."""

    enters: ClassVar[frozenset[str]] = frozenset({"embed"})

    def __init__(self, width: int, base: float) -> None:
        super().__init__()
        self.width, self.base = width, base

    def embed(self, position: Tensor) -> Tensor:
        exponent = torch.arange(0, self.width, 2, device=position.device, dtype=torch.float64) / self.width
        angle = position.to(torch.float64).unsqueeze(-1) * self.base**-exponent  # [1 or B, T, D/2]
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)

    def extra_repr(self) -> str:
        return f"width={self.width}, base={self.base:g}"
