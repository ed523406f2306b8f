"""The training objective: a module that turns a model's output into a loss and its named terms.

Every objective has the next-token loss, -ln p(x_t | x_<t) in nats, and may add to it. Everything is divided by what the *global* batch
counts, so that micro-batches and processes only have to be added: by its targets, or by its rows where each row has one target. A token
after the next is divided by the same number, although rows have fewer of those: where there is none, it counts as 0.

    total = factor * (main + auxiliary) / divisor,  main = sum_t w_t ((1 - eps) CE_t + eps U_t + c (ln Z_t)^2)

`models/cross_entropy.py` defines eps, U and c. They concern the next token; auxiliary terms are plain cross-entropy. Only the next-token
cross-entropy is ever called `loss`, whatever is trained. Weights of an objective serve training alone: evaluation and generation use the
model only.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import Config, setting
from assay.core.types import Batch, Losses, Mean, Output, Term, TrainingProgress, add_means
from assay.errors import ConfigError, suggest
from assay.models.base import Model
from assay.models.cross_entropy import LossOptions
from assay.models.readout import Readout


class ObjectiveConfig(Config, family="objective", package="assay.objective"):
    """The loss that a model is trained to minimise."""

    weights: dict[str, float] = setting({}, "weights of losses that layers report, by name (absent: the layer's)", affects="training")
    label_smoothing: float = setting(
        0.0, "share of the next token's target that is spread over the vocabulary", alternative=0.1, affects="training", ge=0, lt=1
    )
    z_loss: float = setting(0.0, "weight of (ln Z)^2, which keeps the logits' normaliser near 1", alternative=0.1, affects="training", ge=0)
    positions: Literal["all", "last"] = setting("all", "targets of a row: all, or the last alone", alternative="last", affects="training")

    def aux_loss_weights(self, model: Model) -> dict[str, float]:
        """Return the weight of every loss that the model's layers report. Raises ConfigError on a name that none of them has."""
        for name in self.weights:
            if name not in model.aux_loss_weights:
                reason = f"no layer of this model reports such a loss; {suggest(name, model.aux_loss_weights)}"
                raise ConfigError(f"objective.weights.{name}", reason)
        return {**model.aux_loss_weights, **self.weights}

    def build(self, model: Model, generator: torch.Generator) -> "Objective":
        """Build the module for `model` and draw its weights from `generator`. Raises ConfigError where the two do not go together."""
        objective = self.build_module(model)
        model.init_weights(objective, generator)
        return objective

    def build_module(self, model: Model) -> "Objective":
        """Build the module for `model`, its weights not yet drawn."""
        raise TypeError(f"{type(self).__name__} does not define build_module")


class LossPart(NamedTuple):
    """A part of the loss, not divided yet."""

    total: Tensor  # []
    terms: dict[str, Term]  # detached
    losses: Mapping[str, Mean] = {}  # that blocks of the objective report
    stats: Mapping[str, Mean] = {}


class ShiftedTargets(NamedTuple):
    """The tokens that positions are to predict."""

    tokens: Tensor  # [B, T]
    weight: Tensor  # [B, T]


class Objective(nn.Module):
    """losses = objective(output, batch, progress). A kind adds auxiliary losses, and the modules that they need."""

    def __init__(self, config: ObjectiveConfig) -> None:
        super().__init__()
        self.options = LossOptions(config.label_smoothing, config.z_loss)
        self.last_only = config.positions == "last"

    def auxiliary_losses(self, output: Output, batch: Batch, progress: TrainingProgress) -> Sequence[LossPart]:
        """Compute the parts of the loss besides the next token's."""
        return ()

    def factor(self, progress: TrainingProgress) -> float:
        """Return the factor on all terms."""
        return 1.0

    def unused_parameters(self, fraction: float) -> Sequence[nn.Parameter]:
        """Return the parameters that are no longer used at this share of the budget."""
        return ()

    def forward(self, output: Output, batch: Batch, progress: TrainingProgress) -> Losses:
        parts = [self.next_token_loss(output, batch), *self.auxiliary_losses(output, batch, progress)]
        factor, divisor = self.factor(progress), progress.rows if self.last_only else progress.targets
        terms: dict[str, Term] = {}
        losses: Mapping[str, Mean] = output.losses
        stats: Mapping[str, Mean] = output.stats
        for part in parts:
            terms |= {name: Term(factor * term.scale, term.mean) for name, term in part.terms.items()}
            losses, stats = add_means(losses, part.losses), add_means(stats, part.stats)
        total = torch.stack([part.total for part in parts]).sum() if len(parts) > 1 else parts[0].total
        return Losses(factor * total / divisor, terms, losses, stats)

    def next_token_loss(self, output: Output, batch: Batch) -> LossPart:
        """Compute the cross-entropy of the next token, with label smoothing and z-loss where they are set."""
        targets, (smoothing, z_loss) = self.targets(batch, 1), self.options
        assert isinstance(output.readout, Readout)
        result = output.readout.cross_entropy(output.hidden, *targets, self.options)
        count = targets.weight.sum()
        if result.uniform is None and result.squared_log_z is None:
            return LossPart(result.total, {"loss": Term(1.0, Mean(result.total.detach(), count))})
        named = {"loss": (1 - smoothing, result.nll), "uniform": (smoothing, result.uniform), "z_loss": (z_loss, result.squared_log_z)}
        terms = {
            name: Term(scale, Mean((values * targets.weight).sum(), count)) for name, (scale, values) in named.items() if values is not None
        }
        return LossPart(result.total, terms)

    def targets(self, batch: Batch, offset: int) -> ShiftedTargets:
        """Return tokens[t + offset] for each position t, with weight 0 where the row has none, at padding, and in another document.

        Documents matter only where they are masked. With `positions = "last"`, only the last target of each row keeps its weight.
        """
        shift = min(offset - 1, batch.weight.shape[1])
        tokens, weight = batch.tokens[:, 1:], batch.weight
        if shift:
            tokens, weight = (F.pad(values[:, shift:], (0, shift)) for values in (tokens, weight))
            if batch.documents is not None:
                weight = weight * (F.pad(batch.documents[:, shift:], (0, shift)) == batch.documents)
        return ShiftedTargets(tokens, keep_last_target(weight) if self.last_only else weight)


def keep_last_target(weight: Tensor) -> Tensor:
    """Set weights [B, T] to 1 at the last target of each row that counts, and to 0 elsewhere."""
    live = weight > 0
    from_here = live.flip(-1).cumsum(-1).flip(-1)
    return (live & (from_here == 1)).to(weight.dtype)


class NextTokenConfig(ObjectiveConfig):
    """Cross-entropy of the next token, each target weighted once."""

    kind: Literal["next_token"] = "next_token"

    def build(self, model: Model, generator: torch.Generator) -> Objective:
        return Objective(self)
