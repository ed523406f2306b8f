"""What a model is trained for: a module that turns an output into named terms of a loss."""

from torch import nn

from assay.core.config import Config, setting
from assay.core.types import Batch, Output, Progress, Term
from assay.errors import ConfigError, nearest
from assay.models.base import Model


class Objective(nn.Module):
    """terms = objective(output, batch, at). The term called `loss` is the next-token loss and nothing else."""

    def forward(self, output: Output, batch: Batch, at: Progress) -> dict[str, Term]:
        """The terms of the loss of one batch."""
        raise TypeError(f"{type(self).__name__} does not define forward")


class ObjectiveConfig(Config, family="objective", package="assay.objective"):
    """What a model is trained for."""

    weights: dict[str, float] = setting(
        {}, "weights of losses that layers report, by name (absent: as the layer proposes)", bites="training"
    )

    def layer_weights(self, model: Model) -> dict[str, float]:
        """The weight of every loss that the model's layers report. Raises ConfigError on a name that none of them has."""
        for name in self.weights:
            if name not in model.reports:
                raise ConfigError(
                    f"objective.weights.{name}",
                    f"no layer of this model reports such a loss; {nearest(name, model.reports)}",
                )
        return {**model.reports, **self.weights}

    def build(self, model: Model) -> Objective:
        """The module for `model`."""
        raise TypeError(f"{type(self).__name__} does not define build")
