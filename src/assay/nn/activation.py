"""Activations of the feed-forward layers, each a kind."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from assay.core.config import Config, setting


class ActivationConfig(Config, family="activation", package="assay.nn.activation"):
    """A function [..., F] -> [..., F] of each position by itself."""

    def apply(self, x: Tensor) -> Tensor:
        """Apply the function."""
        raise TypeError(f"{type(self).__name__} does not define apply")


class GeluConfig(ActivationConfig):
    """x Phi(x) (Hendrycks and Gimpel, arXiv 1606.08415); GPT-2 uses the tanh approximation, which is slower on a CPU."""

    kind: Literal["gelu"] = "gelu"
    approximate: Literal["none", "tanh"] = setting("none", "exact, or GPT-2's tanh approximation", alternative="tanh")

    def apply(self, x: Tensor) -> Tensor:
        return F.gelu(x, approximate=self.approximate)


class ReluConfig(ActivationConfig):
    """max(x, 0)."""

    kind: Literal["relu"] = "relu"

    def apply(self, x: Tensor) -> Tensor:
        return F.relu(x)


class ReluSquaredConfig(ActivationConfig):
    """max(x, 0)^2 (So et al., Primer, arXiv 2109.08668)."""

    kind: Literal["relu2"] = "relu2"

    def apply(self, x: Tensor) -> Tensor:
        return F.relu(x).square()


class SiluConfig(ActivationConfig):
    """x sigmoid(x) (arXiv 1702.03118); with a gate it makes SwiGLU."""

    kind: Literal["silu"] = "silu"

    def apply(self, x: Tensor) -> Tensor:
        return F.silu(x)


class SoluConfig(ActivationConfig):
    """x softmax(x) over the F inner features, then a LayerNorm (SoLU; Elhage et al., transformer-circuits.pub/2022/solu).

    The norm learns no gain and no bias: the linear map that follows has them in its weights and in its bias. x softmax(x) is of the size of
    x / F, so the norm is given F times that, lest its epsilon of 1e-5 outweigh the variance in a wide layer.
    """

    kind: Literal["solu"] = "solu"
    norm: bool = setting(True, "the LayerNorm after it", alternative=False)

    def apply(self, x: Tensor) -> Tensor:
        y = x * x.softmax(-1)
        return F.layer_norm(y * x.shape[-1], x.shape[-1:]) if self.norm else y
