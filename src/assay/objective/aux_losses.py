"""Auxiliary losses: of tokens that hidden states predict in training besides the model's own next token, scored all at once."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from pydantic import field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import setting
from assay.core.types import Batch, BlockOutput, Mean, Term, add_means
from assay.errors import ConfigError
from assay.models.cross_entropy import CHUNK_ELEMENTS, CrossEntropy, HeadWeights, cross_entropy
from assay.nn.linear import Multiplier, Role
from assay.objective.base import LossPart, Objective, ObjectiveConfig


class AuxLossConfig(ObjectiveConfig):
    """The settings of objectives with several targets at each position."""

    targets: int = setting(2, "tokens that each position predicts", alternative=3, affects="training", ge=1, le=1000)
    weight: float = setting(0.5, "weight of each token after the next", alternative=0.25, affects="training", ge=0)

    def model_post_init(self, context: Any) -> None:
        if self.targets == 1 and self.weight != type(self).model_fields["weight"].default:
            raise ConfigError("weight", "is not used with targets = 1, which has no token after the next; leave it out")


class AuxHeadConfig(AuxLossConfig):
    """The settings of objectives with heads of their own."""

    head_bias: bool | None = setting(
        None, "a bias for each token in the objective's own heads; the model's has model.head.bias (absent: none)", alternative=True,
        affects="training",
    )  # fmt: skip

    @field_validator("head_bias", mode="before")
    @classmethod
    def _omit_false(cls, value: Any) -> Any:
        """Read false as absent, which it means: one config has one digest."""
        return None if value is False else value

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if self.head_bias and not self.has_heads:
            raise ConfigError("head_bias", "needs heads of the objective's own, and there are none; raise targets, or set model.head.bias")

    @property
    def has_heads(self) -> bool:
        """Whether there are heads besides the model's."""
        return self.targets > 1


class AuxPrediction(NamedTuple):
    """hidden[:, t] predicts tokens[t + offset]."""

    name: str  # of its term
    scale: float  # of its loss
    hidden: Tensor  # [B, T, D]
    offset: int


class AuxHead(nn.Module):
    """A matrix [V, D] for one auxiliary prediction and, where asked for, a bias [V] that begins at 0.

    The published parameter counts of Al-Rfou et al. have no biases.
    """

    role: Role = "head"

    def __init__(self, vocabulary: int, width: int, *, bias: bool) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.zeros(vocabulary, width))
        self.bias = nn.Parameter(torch.zeros(vocabulary)) if bias else None
        self.multiplier = Multiplier("logits", width)


LossFunction = Callable[[Tensor, Tensor, Tensor], CrossEntropy]  # of hidden [G, B, T, D], target and weight [G, B, T]


def compute_aux_loss(
    objective: Objective,
    predictions: Sequence[AuxPrediction],
    batch: Batch,
    loss_function: LossFunction,
    outputs: Sequence[BlockOutput] = (),
) -> LossPart:
    """Compute the loss of predictions from hidden states of one width; `outputs` are those of the blocks that made these."""
    targets = [objective.targets(batch, prediction.offset) for prediction in predictions]
    target, weight = (torch.stack(values) for values in zip(*targets, strict=True))  # [G, B, T]
    scales = torch.tensor([prediction.scale for prediction in predictions], dtype=weight.dtype, device=weight.device)
    result = loss_function(torch.stack([prediction.hidden for prediction in predictions]), target, weight * scales.view(-1, 1, 1))
    totals, counts = (result.nll * weight).sum((1, 2)), weight.sum((1, 2))  # [G]
    terms = {one.name: Term(one.scale, Mean(*sums)) for one, *sums in zip(predictions, totals.unbind(), counts.unbind(), strict=True)}
    losses: dict[str, Mean] = reduce(add_means, (output.losses for output in outputs), {})
    stats: dict[str, Mean] = reduce(add_means, (output.stats for output in outputs), {})
    return LossPart(result.total, terms, losses, stats)


def make_classifier_loss(classifiers: Sequence[AuxHead]) -> LossFunction:
    """Make the loss function in which each prediction has a classifier of its own, z = W_g LN(h_g) + b_g. The norm has no parameters.

    It is there because the residual stream of blocks with the norm before the branch grows from layer to layer, as nothing else would
    bring the layers' logits to one scale; whether Al-Rfou et al. had one their paper does not say.
    """
    matrices = torch.stack([classifier.weight for classifier in classifiers])  # [G, V, D]
    biases: list[Tensor] = [classifier.bias for classifier in classifiers if classifier.bias is not None]
    bias = torch.stack(biases) if biases else None  # [G, V]

    def compute(hidden: Tensor, target: Tensor, weight: Tensor) -> CrossEntropy:
        features = classifiers[0].multiplier(F.layer_norm(hidden, hidden.shape[-1:])).flatten(1, 2)  # [G, N, D]
        together = max(1, CHUNK_ELEMENTS // (matrices.shape[1] * features.shape[1]))  # heads whose logits may exist at once
        pieces = [part.split(together) for part in (features, matrices, target.flatten(1), weight.flatten(1))]
        parts = [None] * len(pieces[0]) if bias is None else bias.split(together)
        results = [cross_entropy(h, HeadWeights(m, b), t, w) for h, m, t, w, b in zip(*pieces, parts, strict=True)]
        total = torch.stack([result.total for result in results]).sum()
        return CrossEntropy(total, torch.cat([result.nll for result in results]).view(target.shape), None, None)

    return compute


def format_term_name(layer: str, offset: int) -> str:
    """Name the term of a prediction: `layer_3`, `layer_3_t+2`, `t+2`."""
    return "_".join([*([layer] if layer else []), *([f"t+{offset}"] if offset > 1 else [])])
