"""How what the branches of a block compute joins the residual stream x, each rule a kind. f is the mixer or the feed-forward, L the layers.

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
from assay.nn.mixer.base import Where

Placement = Literal["pre", "post", "sandwich", "none"]
Branch = Literal["mixer", "feed"]


class ResidualConfig(Config, family="residual", package="assay.nn.residual"):
    """How what the branches of a block compute joins the residual stream."""

    placements: ClassVar[tuple[Placement, ...]] = ("pre", "post", "sandwich", "none")  # of the norms that the rule is made for

    def check(self, placement: Placement) -> None:
        """Raise ConfigError where the norms of the block stand elsewhere than this rule needs."""
        if placement not in self.placements:
            kind = type(self).model_fields["kind"].default
            choice = " or ".join(f"'{one}'" for one in self.placements)
            raise ConfigError("placement", f"is '{placement}', for which residual {kind} is not made; set it to {choice}")

    def build(self, width: int, layers: int | None) -> "Residual":
        """The module for one of `layers` blocks of size `width`; None: the trunk does not say how many there are."""
        raise TypeError(f"{type(self).__name__} does not define build")


class Residual(nn.Module):
    """The plain rule, from which the others differ."""

    refused_outputs: ClassVar[Mapping[str, str]] = {}  # value of init.outputs -> why it does not go with the rule

    def enter(self, x: Tensor, where: Where) -> Tensor:
        """The stream as the block takes it up, [B, T, D]."""
        return x

    def add(self, x: Tensor, y: Tensor, branch: Branch) -> Tensor:
        """The stream with the output y of one of its branches."""
        return x + y

    def mark(self, mixer: nn.Module, feed: nn.Module) -> None:
        """Tell the initialisation which of the branches' weights the rule wants smaller."""


class PlainConfig(ResidualConfig):
    """x + f(x) (He et al., arXiv 1512.03385)."""

    kind: Literal["plain"] = "plain"

    def build(self, width: int, layers: int | None) -> Residual:
        return Residual()


class ScaledConfig(ResidualConfig):
    """x + f(x) / sqrt(2 L): init.outputs = "scaled" as a factor that stays."""

    kind: Literal["scaled"] = "scaled"

    def build(self, width: int, layers: int | None) -> Residual:
        return Scaled(_known(layers))


class Scaled(Residual):
    """x + f(x) / sqrt(2 L)."""

    refused_outputs: ClassVar[Mapping[str, str]] = {
        "scaled": "shrinks the branches that residual scaled shrinks already; set it to 'plain'"
    }

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.factor = 1 / math.sqrt(2 * layers)

    def add(self, x: Tensor, y: Tensor, branch: Branch) -> Tensor:
        return x + self.factor * y


class RezeroConfig(ResidualConfig):
    """x + a f(x) without any norm, a learned, 0 at first, shared by the branches (arXiv 2003.04887)."""

    kind: Literal["rezero"] = "rezero"
    placements: ClassVar[tuple[Placement, ...]] = ("none",)

    def build(self, width: int, layers: int | None) -> Residual:
        return Rezero()


class Rezero(Residual):
    """x + a f(x); the network begins as embedding and head alone."""

    refused_outputs: ClassVar[Mapping[str, str]] = {
        "zero": "leaves nothing to learn from beside residual rezero, whose factor is 0 too; set it to 'plain'"
    }

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(()))  # a

    def add(self, x: Tensor, y: Tensor, branch: Branch) -> Tensor:
        return x + self.factor.to(y.dtype) * y


class LayerScaleConfig(ResidualConfig):
    """x + g * f(x), g learned for each feature and branch (arXiv 2103.17239)."""

    kind: Literal["layer_scale"] = "layer_scale"
    initial: float | None = setting(
        None, "g at first (absent: as in the paper, 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 beyond)", other=0.5, gt=0
    )

    def build(self, width: int, layers: int | None) -> Residual:
        return LayerScale(width, _initial_scale(_known(layers)) if self.initial is None else self.initial)


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
    placements: ClassVar[tuple[Placement, ...]] = ("post",)

    def build(self, width: int, layers: int | None) -> Residual:
        return DeepNorm(_known(layers))


class DeepNorm(Residual):
    """c x + f(x), c = (2 L)^(1/4). Values, outputs and feed-forward begin (8 L)^(-1/4) times as large as drawn, queries and keys as drawn.

    Values are taken to be the last of three matrices that are fused in one; where a mixer has none so fused (`latent`, `lstm`), its outputs
    alone are made smaller.
    """

    refused_outputs: ClassVar[Mapping[str, str]] = {
        "scaled": "shrinks outputs that residual deep_norm shrinks already, by a factor of its own; set it to 'plain'"
    }

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.factor: float = (2 * layers) ** 0.25
        self.gain: float = (8 * layers) ** -0.25

    def add(self, x: Tensor, y: Tensor, branch: Branch) -> Tensor:
        return self.factor * x + y

    def mark(self, mixer: nn.Module, feed: nn.Module) -> None:
        for linear in _linears(mixer):
            if linear.residual:
                linear.scale_drawn((self.gain,) * len(linear.parts))
            elif len(linear.parts) == 3:
                linear.scale_drawn((1.0, 1.0, self.gain))
        inner = {module.down for module in feed.modules() if isinstance(module, FactorisedLinear)}  # the other factor has the gain
        for linear in set(_linears(feed)) - inner:
            linear.scale_drawn((self.gain,) * len(linear.parts))


class MixConfig(ResidualConfig):
    """(a x + b x0) + f(x): each block takes up the embedded text x0 once more, a and b learned, 1 and 0 at first."""

    kind: Literal["mix"] = "mix"

    def build(self, width: int, layers: int | None) -> Residual:
        return Mix()


class Mix(Residual):
    """a x + b x0 before the branches, which are then plain."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor([1.0, 0.0]))  # a and b

    def enter(self, x: Tensor, where: Where) -> Tensor:
        x0 = where.embedding
        if x0 is None or x0.shape != x.shape:
            reason = "is mix, and in a block of this trunk the stream has another shape than the embedded text; choose another"
            raise ConfigError("model.block.residual", reason)
        a, b = self.share.unbind()
        mixed: Tensor = a * x + b * x0
        return mixed


def _known(layers: int | None) -> int:
    """L. Raises ConfigError where the trunk does not say."""
    if layers is None:
        raise ConfigError(
            "model.block.residual", "depends on the number of layers, which this trunk does not tell its blocks; choose another"
        )
    return layers


def _initial_scale(layers: int) -> float:
    return 0.1 if layers <= 18 else 1e-5 if layers <= 24 else 1e-6


def _linears(part: nn.Module) -> list[Linear]:
    return [module for module in part.modules() if isinstance(module, Linear)]
