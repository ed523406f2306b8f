"""Multiple targets: the last layer predicts further tokens too (Al-Rfou et al., arXiv 1808.04444, section 3, "multiple targets").

    total = CE(x_{t+1}) + weight * sum_k CE(x_{t+k}),  k = 2 .. targets;  z_k = W_k LN(h_L)

There every intermediate layer does so as well; that is `deep_supervision`, which says more of the paper.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from assay.core.config import setting
from assay.core.types import Batch, Output, Progress
from assay.errors import ConfigError
from assay.models.base import Model
from assay.objective.base import Objective, ObjectiveConfig, Part
from assay.objective.sites import Classifier, Site, ahead, by_classifiers, score


class MultiTargetConfig(ObjectiveConfig):
    """The next token and some after it, each through a matrix of its own."""

    kind: Literal["multi_target"] = "multi_target"
    targets: int = setting(2, "tokens that each position predicts", other=3, bites="training", ge=1)
    weight: float = setting(0.5, "weight of each further token", other=0.25, bites="training", ge=0)

    tiny: ClassVar[dict[str, Any]] = {}

    def model_post_init(self, context: Any) -> None:
        if self.targets == 1 and self.weight != type(self).model_fields["weight"].default:
            raise ConfigError("weight", "is not used with targets = 1, which has no further token; leave it out")

    def build(self, model: Model, generator: torch.Generator) -> Objective:
        objective = MultiTarget(self, model)
        model.fill(objective, generator)
        return objective


class MultiTarget(Objective):
    """One classifier for each further target."""

    def __init__(self, config: MultiTargetConfig, model: Model) -> None:
        super().__init__(config)
        self.offsets, self.weight = range(2, config.targets + 1), config.weight
        self.classifiers = nn.ModuleList(Classifier(model.vocabulary, model.hidden_width) for _ in self.offsets)

    def further(self, output: Output, batch: Batch, at: Progress) -> Sequence[Part]:
        hidden = output.predictions[0].hidden
        sites = [Site(ahead("", offset), self.weight, hidden, offset) for offset in self.offsets]
        classifiers = [module for module in self.classifiers if isinstance(module, Classifier)]
        return [score(self, sites, batch, by_classifiers(classifiers))] if sites else ()
