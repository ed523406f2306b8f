"""The model and its objective in one module: what is compiled and what is distributed."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from assay.core.types import Batch, Mean, Progress, State, Term
from assay.models.base import Model
from assay.objective.base import ObjectiveConfig


class Learned(NamedTuple):
    """What one micro-batch gave: the scalar to differentiate, its parts by name, what layers report, and the carried state."""

    total: Tensor  # [], this micro-batch's share of the global loss
    terms: dict[str, Term]
    stats: dict[str, Mean]
    state: State


class Learner(nn.Module):
    """total = the objective's + the losses that layers report, divided by *global* counts, so that micro-batches only have to be added.

    What layers report are sums over rows (`at.rows`), and what they report of a micro-batch without any target, which a process gets for
    which no row is left, counts nothing. The weights of the objective are drawn from `generator`, absent: one of seed 0.
    Compilation, DDP and FSDP wrap the learner, never the model, so every parameter is used in one forward pass.
    """

    def __init__(self, model: Model, objective: ObjectiveConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        like = next(model.parameters())
        self.model = model
        made = objective.build(model, generator or torch.Generator().manual_seed(0))
        in_place = all((own.device, own.dtype) == (like.device, like.dtype) for own in made.parameters())
        self.objective = made if in_place else made.to(like.device, like.dtype)  # tensors without values, as in `assay show`, cannot move
        self.layer_weights = objective.layer_weights(model)

    def forward(self, batch: Batch, at: Progress, state: State = None) -> Learned:
        output = self.model(batch.tokens[:, :-1], state, batch.documents)
        total, terms, losses, found_stats = self.objective(output, batch, at)
        live = (batch.weight > 0).any()
        for name, reported in losses.items():
            mean = Mean(reported.total * live, reported.count * live)
            terms[name] = Term(self.layer_weights[name], mean)
            total = total + self.layer_weights[name] * mean.total / at.rows
        detached = {name: Term(t.scale, Mean(t.mean.total.detach(), t.mean.count.detach())) for name, t in terms.items()}
        stats = {name: Mean((mean.total * live).detach(), (mean.count * live).detach()) for name, mean in found_stats.items()}
        return Learned(total, detached, stats, output.state)
