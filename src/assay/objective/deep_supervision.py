"""Deep supervision: intermediate layers predict as well, early in training (Al-Rfou et al., arXiv 1808.04444, section 3).

    total = sum_{l active} CE_l(x_{t+1}) + weight * sum_k CE_l(x_{t+k}),  k = 2 .. targets
    l < L is active while step / steps < until * l / L;  L always is

With `until` = 1/2 that is the paper's rule, "after training progress l / 2L": the lowest layer goes first, and from half of the training
on the last one is alone, so that L - floor(2 L progress) layers are active, at least one. The paper's own example of the rule has twice
the interval. Layer L is the model's own output; each further (layer, target) has a V x D matrix that only training has: 2 L - 1 with two
targets, which makes T12 44.25 M and T64 235.44 M parameters in training, as published.

The paper's example of the loss and every account that we found leave open whether the active layers are summed or averaged: `reduce` says
which. A sum has a larger gradient at first, and with Adam or a clipped gradient little else changes; a mean changes the last layer's
weight whenever another layer goes. Not theirs: the norm before the classifiers (`sites.py`).
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from assay.core.config import preset, setting
from assay.core.types import Batch, Output, Progress
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.readout import Readout
from assay.objective.base import Objective, ObjectiveConfig, Part
from assay.objective.sites import Classifier, Site, ahead, by_classifiers, by_readout, score


class DeepSupervisionConfig(ObjectiveConfig):
    """Intermediate layers predict the next token as well, each for a while."""

    kind: Literal["deep_supervision"] = "deep_supervision"
    targets: int = setting(1, "tokens that each layer predicts", other=3, bites="training", ge=1)
    weight: float = setting(0.5, "weight of each token after the next", other=0.25, bites="training", ge=0)
    until: float = setting(0.5, "share of training in which the layers go, the lowest one first", other=0.2, bites="training", gt=0, le=1)
    reduce: Literal["sum", "mean"] = setting("sum", "losses of the active layers are added, or averaged", other="mean", bites="training")
    heads: Literal["own", "shared"] = setting(
        "own",
        "a matrix for each layer and target, or for each target, the model's own for the next token",
        other="shared",
        bites="training",
    )

    tiny: ClassVar[dict[str, Any]] = {"targets": 2}

    def model_post_init(self, context: Any) -> None:
        if self.targets == 1 and self.weight != type(self).model_fields["weight"].default:
            raise ConfigError("weight", "is not used with targets = 1, which has no token after the next; leave it out")

    def build(self, model: Model, generator: torch.Generator) -> Objective:
        widths = model.layer_widths
        if not widths:
            raise ConfigError("objective", "looks at the layers, and this model's are not as long as the text; choose another of either")
        if len(widths) == 1:
            raise ConfigError("objective", "looks at layers before the last, and this model has one; raise its depth or use multi_target")
        if self.heads == "shared" and set(widths) != {model.hidden_width}:
            raise ConfigError("objective.heads", "= 'shared' needs layers of one width, and this model's differ; set it to 'own'")
        objective = DeepSupervision(self, model)
        model.fill(objective, generator)
        return objective


@preset("al-rfou")
def al_rfou() -> ObjectiveConfig:
    """The auxiliary losses of Al-Rfou et al. (arXiv 1808.04444): intermediate layers until half of training, and the token after the next.

    All layers are added, which the paper does not say. For the models t12 and t64 it has (2 L - 1) V D parameters in training alone.
    """
    return DeepSupervisionConfig(targets=2, weight=0.5, reduce="sum")


class DeepSupervision(Objective):
    """Classifiers by the names of their sites."""

    def __init__(self, config: DeepSupervisionConfig, model: Model) -> None:
        super().__init__(config)
        widths = model.layer_widths
        self.depth, self.until, self.average, self.shared = len(widths), config.until, config.reduce == "mean", config.heads == "shared"
        self.scales = {offset: 1.0 if offset == 1 else config.weight for offset in range(1, config.targets + 1)}
        sizes = {} if self.shared else {f"layer_{layer}": width for layer, width in enumerate(widths[:-1], 1)}
        self.classifiers = nn.ModuleDict(
            {
                name: Classifier(model.vocabulary, width)
                for layer, width in {**sizes, "": model.hidden_width}.items()
                for offset in self.scales
                if (name := ahead(layer, offset))
            }
        )

    def active(self, fraction: float) -> list[int]:
        """The layers before the last, from 1, that predict at this share of the budget."""
        return [layer for layer in range(1, self.depth) if fraction < layer * self.until / self.depth]

    def factor(self, at: Progress) -> float:
        return 1 / (len(self.active(at.fraction)) + 1) if self.average else 1.0

    def retired(self, fraction: float) -> Sequence[nn.Parameter]:
        kept = {name for site in self.sites(fraction) if (name := self.matrix_of(*site))}
        return [module.weight for name, module in self.classifiers.items() if name not in kept and isinstance(module, Classifier)]

    def sites(self, fraction: float) -> list[tuple[int, int]]:
        """(layer, offset) of all sites but the model's own."""
        layers = [*self.active(fraction), self.depth]
        return [(layer, offset) for layer in layers for offset in self.scales if (layer, offset) != (self.depth, 1)]

    def matrix_of(self, layer: int, offset: int) -> str:
        """The name of a site's classifier; "": the model's own."""
        return ahead("" if self.shared or layer == self.depth else f"layer_{layer}", offset)

    def further(self, output: Output, batch: Batch, at: Progress) -> Sequence[Part]:
        first = output.predictions[0]
        assert isinstance(first.readout, Readout)
        groups: dict[int, list[tuple[Site, Classifier]]] = {}  # by width
        by_model = []
        for layer, offset in self.sites(at.fraction):
            name = ahead("" if layer == self.depth else f"layer_{layer}", offset)
            site = Site(name, self.scales[offset], first.hidden if layer == self.depth else _layer(output, layer), offset)
            if matrix := self.matrix_of(layer, offset):
                classifier = self.classifiers[matrix]
                assert isinstance(classifier, Classifier)
                groups.setdefault(classifier.width, []).append((site, classifier))
            else:
                by_model.append(site)
        parts = [score(self, by_model, batch, by_readout(first.readout))] if by_model else []
        for group in groups.values():
            sites, classifiers = zip(*group, strict=True)
            parts.append(score(self, sites, batch, by_classifiers(classifiers)))
        return parts


def _layer(output: Output, layer: int) -> Tensor:
    """The hidden states after a layer, from 1."""
    assert output.inside is not None, "the model keeps its layers only while gradients are recorded"
    return output.inside.layers[layer - 1]
