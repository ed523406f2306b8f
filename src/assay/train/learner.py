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
    """total = sum over terms of scale * sum / *global* count, so micro-batches and processes only have to be added.

    Targets are counted in the global batch (`at.targets`); the losses that layers report are sums over rows (`at.rows`), and what they
    report of a micro-batch without any target, which a process gets for which no row is left, counts nothing.
    Compilation, DDP and FSDP wrap the learner, never the model, so every parameter is used in one forward pass.
    """

    def __init__(self, model: Model, objective: ObjectiveConfig) -> None:
        super().__init__()
        self.model = model
        self.objective = objective.build(model)
        self.layer_weights = objective.layer_weights(model)

    def forward(self, batch: Batch, at: Progress, state: State = None) -> Learned:
        output = self.model(batch.tokens[:, :-1], state, batch.documents)
        terms = self.objective(output, batch, at)
        total = torch.stack([term.scale * term.mean.total / at.targets for term in terms.values()]).sum()
        live = (batch.weight > 0).any()
        for name, reported in output.losses.items():
            mean = Mean(reported.total * live, reported.count * live)
            terms[name] = Term(self.layer_weights[name], mean)
            total = total + self.layer_weights[name] * mean.total / at.rows
        detached = {name: Term(t.scale, Mean(t.mean.total.detach(), t.mean.count.detach())) for name, t in terms.items()}
        stats = {name: Mean((mean.total * live).detach(), (mean.count * live).detach()) for name, mean in output.stats.items()}
        return Learned(total, detached, stats, output.state)
