"""Normalisation over the last axis."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import Config, setting


class NormConfig(Config, family="norm", package="assay.nn.norm"):
    """A map [..., D] -> [..., D] that fixes the scale of each vector."""

    def build(self, width: int) -> nn.Module:
        """Build the module for vectors of size `width`."""
        raise TypeError(f"{type(self).__name__} does not define build")


class LayerNormConfig(NormConfig):
    """(x - mean) / sqrt(var + eps) * g + b (Ba et al., arXiv 1607.06450)."""

    kind: Literal["layer_norm"] = "layer_norm"
    eps: float = setting(1e-5, "added to the variance", alternative=1e-2, gt=0)
    bias: bool = setting(True, "whether b is learned or absent", alternative=False, affects="cost")

    def build(self, width: int) -> nn.Module:
        return nn.LayerNorm(width, eps=self.eps, bias=self.bias)


class RmsNormConfig(NormConfig):
    """x / sqrt(mean x^2 + eps) * g (Zhang and Sennrich, arXiv 1910.07467)."""

    kind: Literal["rms_norm"] = "rms_norm"
    eps: float = setting(1e-5, "added to the mean square", alternative=1e-2, gt=0)
    learned: bool = setting(True, "whether g is learned or 1", alternative=False, affects="cost")

    def build(self, width: int) -> nn.Module:
        return RmsNorm(width, self.eps, self.learned)


class RmsNorm(nn.Module):
    """RMS normalisation with or without a learned gain, [..., D] -> [..., D]."""

    def __init__(self, width: int, eps: float, learned: bool) -> None:
        super().__init__()
        self.width, self.eps = width, eps
        self.weight = nn.Parameter(torch.ones(width)) if learned else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.rms_norm(x, (self.width,), eps=self.eps)
        return y if self.weight is None else y * self.weight

    def extra_repr(self) -> str:
        return f"{self.width}, eps={self.eps}, learned={self.weight is not None}"
