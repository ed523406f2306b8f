"""Deep supervision: intermediate layers predict as well, early in training (Al-Rfou et al., arXiv 1808.04444, section 3).

    total = sum_{l active} CE_l(x_{t+1}) + weight * sum_k CE_l(x_{t+k}),  k = 2 .. targets
    l < L is active while step / steps < until * l / L;  L always is

With `until` = 1/2 that is the paper's rule, "after training progress l / 2L": the lowest layer goes first, and from half of the training
on the last one is alone, so that L - floor(2 L progress) layers are active, at least one. The paper's own example of the rule has twice
the interval. Layer L is the model's own output; each further (layer, target) has a V x D matrix that only training has: 2 L - 1 with two
targets, which makes T12 44.25 M and T64 235.44 M parameters in training, as published.

The paper's example of the loss and every account that we found leave open whether the active layers are summed or averaged: `reduce` says
which. A sum has a larger gradient at first, and with Adam or a clipped gradient little else changes; a mean changes the last layer's
weight whenever another layer goes. Not theirs: the norm before the classifiers (`classifier_loss`).
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from assay.core.config import preset, setting
from assay.core.types import Batch, Output, TrainingProgress
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.readout import Readout
from assay.objective.aux_losses import AuxHead, AuxHeadConfig, AuxPrediction, compute_aux_loss, format_term_name, make_classifier_loss
from assay.objective.base import LossPart, Objective, ObjectiveConfig


class DeepSupervisionConfig(AuxHeadConfig):
    """Intermediate layers predict the next token as well, each for part of the training."""

    kind: Literal["deep_supervision"] = "deep_supervision"
    targets: int = setting(1, "tokens that each layer predicts", alternative=3, affects="training", ge=1, le=1000)
    until: float = setting(0.5, "share of training in which layers stop, the lowest first", alternative=0.2, affects="training", gt=0, le=1)
    reduce: Literal["sum", "mean"] = setting("sum", "losses of active layers are added or averaged", alternative="mean", affects="training")
    heads: Literal["own", "shared"] = setting(
        "own",
        "a matrix for each layer and target, or for each target, the model's own for the next token",
        alternative="shared",
        affects="training",
    )

    tiny: ClassVar[dict[str, Any]] = {"targets": 2}

    @property
    def has_heads(self) -> bool:
        return self.heads == "own" or self.targets > 1

    def build_module(self, model: Model) -> Objective:
        widths = model.layer_widths
        if not widths:
            raise ConfigError(
                "objective",
                "needs hidden states after each layer, and this model's are shorter than the text; choose another objective or model",
            )
        if len(widths) == 1:
            raise ConfigError("objective", "needs layers before the last, and this model has one; raise its depth or use multi_target")
        if self.heads == "shared" and set(widths) != {model.hidden_width}:
            raise ConfigError("objective.heads", "= 'shared' needs layers of one width, and this model's differ; set it to 'own'")
        return DeepSupervision(self, model)


@preset("al-rfou")
def al_rfou() -> ObjectiveConfig:
    """The auxiliary losses of Al-Rfou et al. (arXiv 1808.04444): intermediate layers until half of training, and the token after the next.

    All layers are added, which the paper does not say. For the models t12 and t64 it has (2 L - 1) V D parameters in training alone.
    """
    return DeepSupervisionConfig(targets=2, weight=0.5, reduce="sum")


class DeepSupervision(Objective):
    """Classifiers by the names of their terms."""

    def __init__(self, config: DeepSupervisionConfig, model: Model) -> None:
        super().__init__(config)
        widths = model.layer_widths
        self.depth, self.until, self.average, self.shared = len(widths), config.until, config.reduce == "mean", config.heads == "shared"
        self.scales = {offset: 1.0 if offset == 1 else config.weight for offset in range(1, config.targets + 1)}
        sizes = {} if self.shared else {f"layer_{layer}": width for layer, width in enumerate(widths[:-1], 1)}
        self.classifiers = nn.ModuleDict(
            {
                name: AuxHead(model.vocabulary, width, bias=bool(config.head_bias))
                for layer, width in {**sizes, "": model.hidden_width}.items()
                for offset in self.scales
                if (name := format_term_name(layer, offset))
            }
        )

    def active_layers(self, fraction: float) -> list[int]:
        """List the layers before the last, from 1, that predict at this share of the budget."""
        return [layer for layer in range(1, self.depth) if fraction < layer * self.until / self.depth]

    def factor(self, progress: TrainingProgress) -> float:
        return 1 / (len(self.active_layers(progress.fraction)) + 1) if self.average else 1.0

    def unused_parameters(self, fraction: float) -> Sequence[nn.Parameter]:
        active = {name for head in self.active_heads(fraction) if (name := self.classifier_name(*head))}
        return [parameter for name, module in self.classifiers.items() if name not in active for parameter in module.parameters()]

    def active_heads(self, fraction: float) -> list[tuple[int, int]]:
        """List (layer, offset) of all predictions but the model's own."""
        layers = [*self.active_layers(fraction), self.depth]
        return [(layer, offset) for layer in layers for offset in self.scales if (layer, offset) != (self.depth, 1)]

    def classifier_name(self, layer: int, offset: int) -> str:
        """Name the classifier of a prediction; "": the model's own readout."""
        return format_term_name("" if self.shared or layer == self.depth else f"layer_{layer}", offset)

    def auxiliary_losses(self, output: Output, batch: Batch, progress: TrainingProgress) -> Sequence[LossPart]:
        readout = output.readout
        assert isinstance(readout, Readout)
        groups: dict[int, list[tuple[AuxPrediction, AuxHead]]] = {}  # by width
        shared = []  # by the model's readout
        for layer, offset in self.active_heads(progress.fraction):
            name = format_term_name("" if layer == self.depth else f"layer_{layer}", offset)
            prediction = AuxPrediction(name, self.scales[offset], output.hidden if layer == self.depth else _layer(output, layer), offset)
            if matrix := self.classifier_name(layer, offset):
                classifier = self.classifiers[matrix]
                assert isinstance(classifier, AuxHead)
                groups.setdefault(classifier.width, []).append((prediction, classifier))
            else:
                shared.append(prediction)
        parts = [compute_aux_loss(self, shared, batch, readout.cross_entropy)] if shared else []
        for group in groups.values():
            predictions, classifiers = zip(*group, strict=True)
            parts.append(compute_aux_loss(self, predictions, batch, make_classifier_loss(classifiers)))
        return parts


def _layer(output: Output, layer: int) -> Tensor:
    """Return the hidden states after a layer, counted from 1."""
    assert output.internals is not None, "the model keeps its layers only while gradients are recorded"
    return output.internals.layers[layer - 1]
