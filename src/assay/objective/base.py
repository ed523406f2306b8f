"""What a model is trained for: a module that turns an output into a loss and its named terms.

Every objective has the next-token loss, -ln p(x_t | x_<t), and may add to it. Everything is divided by what the *global* batch counts, so
that micro-batches and processes only have to be added: by its targets, or by its rows where each row is asked once. A further token is
divided by the same number, although rows have fewer of those: where there is none, it counts as 0.

    total = factor * (main + further) / divisor,  main = sum_t w_t ((1 - eps) CE_t + eps U_t + c (ln Z_t)^2)

`models/cross_entropy.py` says what eps, U and c are. What they are for is the next token; further terms are plain cross-entropy. Only the
next-token cross-entropy is ever called `loss`, whatever is trained. Weights of an objective serve training alone: evaluation and
generation know the model only.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import Config, setting
from assay.core.types import Batch, Losses, Mean, Output, Progress, Term, add_means
from assay.errors import ConfigError, nearest
from assay.models.base import Model
from assay.models.cross_entropy import Options
from assay.models.readout import Readout


class ObjectiveConfig(Config, family="objective", package="assay.objective"):
    """What a model is trained for."""

    weights: dict[str, float] = setting(
        {}, "weights of losses that layers report, by name (absent: as the layer proposes)", bites="training"
    )
    label_smoothing: float = setting(
        0.0, "share of the next token's target that is spread over the vocabulary", other=0.1, bites="training", ge=0, lt=1
    )
    z_loss: float = setting(0.0, "weight of (ln Z)^2, which keeps the logits' normaliser near 1", other=0.1, bites="training", ge=0)
    positions: Literal["all", "last"] = setting("all", "targets of a row: all, or the last one alone", other="last", bites="training")

    def layer_weights(self, model: Model) -> dict[str, float]:
        """The weight of every loss that the model's layers report. Raises ConfigError on a name that none of them has."""
        for name in self.weights:
            if name not in model.reports:
                raise ConfigError(
                    f"objective.weights.{name}",
                    f"no layer of this model reports such a loss; {nearest(name, model.reports)}",
                )
        return {**model.reports, **self.weights}

    def build(self, model: Model, generator: torch.Generator) -> "Objective":
        """The module for `model`, its weights drawn from `generator`. Raises ConfigError where the two do not go together."""
        raise TypeError(f"{type(self).__name__} does not define build")


class Part(NamedTuple):
    """A part of the loss that is not divided yet."""

    total: Tensor  # []
    terms: dict[str, Term]  # detached
    losses: Mapping[str, Mean] = {}  # of blocks of the objective
    stats: Mapping[str, Mean] = {}


class Targets(NamedTuple):
    """What positions are to predict."""

    tokens: Tensor  # [B, T]
    weight: Tensor  # [B, T]


class Objective(nn.Module):
    """losses = objective(output, batch, at). A kind gives its further terms, and the weights of its own that they need."""

    def __init__(self, config: ObjectiveConfig) -> None:
        super().__init__()
        self.options = Options(config.label_smoothing, config.z_loss)
        self.last_only = config.positions == "last"

    def further(self, output: Output, batch: Batch, at: Progress) -> Sequence[Part]:
        """What the loss has besides the next token's."""
        return ()

    def factor(self, at: Progress) -> float:
        """A factor on all terms."""
        return 1.0

    def retired(self, fraction: float) -> Sequence[nn.Parameter]:
        """The parameters that take no part any more at this share of the budget."""
        return ()

    def forward(self, output: Output, batch: Batch, at: Progress) -> Losses:
        parts = [self.next_token(output, batch), *self.further(output, batch, at)]
        factor, divisor = self.factor(at), at.rows if self.last_only else at.targets
        terms: dict[str, Term] = {}
        losses: Mapping[str, Mean] = output.losses
        stats: Mapping[str, Mean] = output.stats
        for part in parts:
            terms |= {name: Term(factor * term.scale, term.mean) for name, term in part.terms.items()}
            losses, stats = add_means(losses, part.losses), add_means(stats, part.stats)
        total = torch.stack([part.total for part in parts]).sum() if len(parts) > 1 else parts[0].total
        return Losses(factor * total / divisor, terms, losses, stats)

    def next_token(self, output: Output, batch: Batch) -> Part:
        """The main term."""
        first, targets, (smoothing, z_loss) = output.predictions[0], self.targets(batch, 1), self.options
        assert isinstance(first.readout, Readout)
        found = first.readout.cross_entropy(first.hidden, *targets, self.options)
        count = targets.weight.sum()
        if found.uniform is None and found.squared is None:
            return Part(found.total, {"loss": Term(1.0, Mean(found.total.detach(), count))})
        named = {"loss": (1 - smoothing, found.nll), "uniform": (smoothing, found.uniform), "z_loss": (z_loss, found.squared)}
        terms = {
            name: Term(scale, Mean((values * targets.weight).sum(), count)) for name, (scale, values) in named.items() if values is not None
        }
        return Part(found.total, terms)

    def targets(self, batch: Batch, offset: int) -> Targets:
        """tokens[t + offset] for each position t, its weight 0 where there is none in the row, at padding, and in another document.

        Documents matter where they are masked only. Where rows are asked once, the last position that has a target is left.
        """
        further = min(offset - 1, batch.weight.shape[1])
        tokens, weight = batch.tokens[:, 1:], batch.weight
        if further:
            tokens, weight = (F.pad(values[:, further:], (0, further)) for values in (tokens, weight))
            if batch.documents is not None:
                weight = weight * (F.pad(batch.documents[:, further:], (0, further)) == batch.documents)
        return Targets(tokens, last_of_each(weight) if self.last_only else weight)


def last_of_each(weight: Tensor) -> Tensor:
    """1 at the last target of each row [B, T] that counts, 0 elsewhere."""
    live = weight > 0
    from_here = live.flip(-1).cumsum(-1).flip(-1)
    return (live & (from_here == 1)).to(weight.dtype)
