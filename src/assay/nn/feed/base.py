"""What a feed-forward layer is: the part of a block that works on each position alone."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from assay.core.config import Config
from assay.nn.mixer.base import Extras


class Feed(nn.Module):
    """y, extras = feed(x), x and y [B, T, D], each position by itself."""

    reports: ClassVar[Mapping[str, float]] = {}  # names of the losses in Extras and their weights unless the objective says otherwise
    deviates: ClassVar[Mapping[str, str]] = {}  # property of the suite that cannot hold -> reason
    chooses: ClassVar[bool] = False  # whether it picks some of several, so that rounding can decide between near equals

    def forward(self, x: Tensor) -> tuple[Tensor, Extras]:
        """Transform each position."""
        raise TypeError(f"{type(self).__name__} does not define forward")


class FeedConfig(Config, family="feed", package="assay.nn.feed"):
    """The part of a block that works on each position alone."""

    def check(self, width: int) -> None:
        """Raise ConfigError where the settings cannot hold together in a model of this width."""

    def build(self, width: int) -> Feed:
        """The module for a residual stream of size `width`."""
        raise TypeError(f"{type(self).__name__} does not define build")
