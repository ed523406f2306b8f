"""Rules by which the outputs of the branches of a block join the residual stream x, each a kind. f is mixer or feed-forward, L the layers.

    plain         x + f(x)                                   He et al., arXiv 1512.03385
    scaled        x + f(x) / sqrt(2 L)                       the stream's variance grows by a constant in any depth
    rezero        x + a f(x), a = 0 at first                 Bachlechner et al., arXiv 2003.04887, section 3
    layer_scale   x + g * f(x), g a vector, small at first   Touvron et al., arXiv 2103.17239, section 2.1
    deep_norm     norm(c x + f(x)), c = (2 L)^(1/4)          Wang et al., arXiv 2203.00555, for decoders alone
    mix           (a x + b x0) + f(x), 1 and 0 at first      modded-nanogpt's records; x0 is the embedded text

Where the norms stand is `block.placement`; a rule refuses the placements that it is not made for. From memory, for want of the texts: the
numbers of DeepNorm and of LayerScale, and that ReZero's two branches of a layer share one a.

`scaled` and `init.outputs = "scaled"` give the same function at first. They differ in training: a factor in the weights is forgotten as
they are learned, and Adam moves them as fast as all others; a factor on the branch stays, and with it the branch learns sqrt(2 L) times
more slowly. Both at once would shrink the branches by 2 L, so that is refused.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from assay.core.config import Config, setting
from assay.errors import ConfigError
from assay.nn.linear import FactorisedLinear, Linear, Role
from assay.nn.mixer.base import LayerInputs

Placement = Literal["pre", "post", "sandwich", "none"]
Branch = Literal["mixer", "feedforward"]


class ResidualConfig(Config, family="residual", package="assay.nn.residual"):
    """The rule by which the outputs of the branches of a block join the residual stream."""

    allowed_placements: ClassVar[tuple[Placement, ...]] = ("pre", "post", "sandwich", "none")  # of the norms with which the rule works

    def check(self, placement: Placement) -> None:
        """Raise ConfigError where the norms of the block stand elsewhere than this rule needs."""
        if placement not in self.allowed_placements:
            kind = type(self).model_fields["kind"].default
            choice = " or ".join(f"'{one}'" for one in self.allowed_placements)
            raise ConfigError("placement", f"is '{placement}', for which residual {kind} is not made; set it to {choice}")

    def build(self, width: int, layers: int | None) -> "Residual":
        """Build the module for one of `layers` blocks of size `width`; None: the model does not say how many there are."""
        raise TypeError(f"{type(self).__name__} does not define build")


class Residual(nn.Module):
    """x + f(x), from which the other rules differ."""

    incompatible_outputs: ClassVar[Mapping[str, str]] = {}  # value of init.outputs -> why it does not go with the rule

    def prepare_input(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """Return the stream that the branches of the block read, [B, T, D]."""
        return x

    def add(self, x: Tensor, y: Tensor, branch: Branch) -> Tensor:
        """Add the output y of one of the branches to the stream."""
        return x + y

    def scale_branch_weights(self, mixer: nn.Module, feedforward: nn.Module) -> None:
        """Set the factors by which the initialisation makes some of the branches' weights smaller."""


class PlainConfig(ResidualConfig):
    """x + f(x) (He et al., arXiv 1512.03385)."""

    kind: Literal["plain"] = "plain"

    def build(self, width: int, layers: int | None) -> Residual:
        return Residual()


class ScaledConfig(ResidualConfig):
    """x + f(x) / sqrt(2 L): init.outputs = "scaled" as a factor that stays."""

    kind: Literal["scaled"] = "scaled"

    def build(self, width: int, layers: int | None) -> Residual:
        return ScaledResidual(_known(layers))


class ScaledResidual(Residual):
    """x + f(x) / sqrt(2 L)."""

    incompatible_outputs: ClassVar = {"scaled": "shrinks the branches that residual scaled shrinks already; set it to 'plain'"}

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.factor = 1 / math.sqrt(2 * layers)

    def add(self, x: Tensor, y: Tensor, branch: Branch) -> Tensor:
        return x + self.factor * y


class RezeroConfig(ResidualConfig):
    """x + a f(x) without any norm, a learned, 0 at first, shared by the branches (arXiv 2003.04887)."""

    kind: Literal["rezero"] = "rezero"
    allowed_placements: ClassVar[tuple[Placement, ...]] = ("none",)

    def build(self, width: int, layers: int | None) -> Residual:
        return RezeroResidual()


class RezeroResidual(Residual):
    """x + a f(x); the network begins as embedding and head alone."""

    incompatible_outputs: ClassVar = {"zero": "leaves nothing to learn from beside residual rezero, with its factor 0; set it to 'plain'"}

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(()))  # a

    def add(self, x: Tensor, y: Tensor, branch: Branch) -> Tensor:
        return x + self.factor.to(y.dtype) * y


class LayerScaleConfig(ResidualConfig):
    """x + g * f(x), g learned for each feature and branch (arXiv 2103.17239)."""

    kind: Literal["layer_scale"] = "layer_scale"
    initial: float | None = setting(None, "g at first (absent: 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 beyond)", alternative=0.5, gt=0)

    def build(self, width: int, layers: int | None) -> Residual:
        if self.initial is not None:
            return LayerScale(width, self.initial)
        depth = _known(layers)
        return LayerScale(width, 0.1 if depth <= 18 else 1e-5 if depth <= 24 else 1e-6)


class LayerScale(Residual):
    """x + g * f(x)."""

    role: Role = "vector"

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((2, width), initial))  # g of the mixer and of the feed-forward

    def add(self, x: Tensor, y: Tensor, branch: Branch) -> Tensor:
        return x + self.gain[0 if branch == "mixer" else 1].to(y.dtype) * y


class DeepNormConfig(ResidualConfig):
    """norm(c x + f(x)), and smaller weights at first (DeepNet, arXiv 2203.00555)."""

    kind: Literal["deep_norm"] = "deep_norm"
    allowed_placements: ClassVar[tuple[Placement, ...]] = ("post",)

    def build(self, width: int, layers: int | None) -> Residual:
        return DeepNorm(_known(layers))


class DeepNorm(Residual):
    """c x + f(x), c = (2 L)^(1/4). Values, outputs and feed-forward begin (8 L)^(-1/4) times as large as drawn, queries and keys as drawn.

    Values are taken to be the last of three matrices that are fused in one; where a mixer has none so fused (`latent`, `lstm`), its outputs
    alone are made smaller.
    """

    incompatible_outputs: ClassVar = {
        "scaled": "shrinks outputs that residual deep_norm shrinks already, by a factor of its own; set it to 'plain'"
    }

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.factor: float = (2 * layers) ** 0.25
        self.gain: float = (8 * layers) ** -0.25

    def add(self, x: Tensor, y: Tensor, branch: Branch) -> Tensor:
        return self.factor * x + y

    def scale_branch_weights(self, mixer: nn.Module, feedforward: nn.Module) -> None:
        for linear in (module for module in mixer.modules() if isinstance(module, Linear)):
            if linear.residual:
                linear.set_init_gains((self.gain,) * len(linear.parts))
            elif len(linear.parts) == 3:
                linear.set_init_gains((1.0, 1.0, self.gain))
        inner = {module.down for module in feedforward.modules() if isinstance(module, FactorisedLinear)}  # the other factor has the gain
        for linear in (module for module in feedforward.modules() if isinstance(module, Linear) and module not in inner):
            linear.set_init_gains((self.gain,) * len(linear.parts))


class MixConfig(ResidualConfig):
    """(a x + b x0) + f(x): each block reads the embedded text x0 once more, a and b learned, 1 and 0 at first."""

    kind: Literal["mix"] = "mix"

    def build(self, width: int, layers: int | None) -> Residual:
        return InputMixResidual()


class InputMixResidual(Residual):
    """a x + b x0 before the branches, which are then plain."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor([1.0, 0.0]))  # a and b

    def prepare_input(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        x0 = inputs.embedding
        if x0 is None or x0.shape != x.shape:
            reason = "is mix, and in a block of this model the stream has another shape than the embedded text; choose another"
            raise ConfigError("model.block.residual", reason)
        a, b = self.share.unbind()
        mixed: Tensor = a * x + b * x0
        return mixed


def _known(layers: int | None) -> int:
    """Return L. Raises ConfigError where the model does not say."""
    if layers is None:
        reason = "depends on the number of layers, which this model does not tell its blocks; choose another"
        raise ConfigError("model.block.residual", reason)
    return layers
