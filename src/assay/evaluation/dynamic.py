"""Evaluate dynamically: the model goes on learning from the text that it has been scored on (Krause et al., arXiv 1709.07432).

The text is read batch by batch in its order. Each batch is scored first; then its gradient g, of the mean loss of its targets, moves the
weights, scaled by the root mean square r of gradients of the training text, and a decay draws them back to where training left them:

    theta <- theta - rate g / (r + epsilon) + decay min(r / mean(r), 1 / decay) (theta_0 - theta)        (section 4.1, the RMS rule)

What differs from the authors' code: mean(r) is over all weights and not over the means of tensors; epsilon is a share of it, so that one
rate serves models whose gradients differ in size; r is of `TRAINING_BATCHES` batches spread over the training text, not of all of it. The
weights that arise are thrown away. The figure answers another question than the static one, how well a model predicts *and adapts*, so it
stands beside that one and never in its place.
"""

import copy
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from assay.core.devices import to_float64
from assay.core.torch_internals import tree_map_only
from assay.core.types import State
from assay.evaluation.measure import TokenMetrics, TokenRecord, measure_tokens, read_batch
from assay.evaluation.readers import Ints, ScoringBatch, TextReader
from assay.models.base import Model
from assay.models.readout import Readout

TRAINING_BATCHES = 200  # of the training text: r then hardly depends on which they are
EPSILON = 0.1  # of mean(r): no weight goes more than about ten times as far as one of a mean gradient


class Adaptation(NamedTuple):
    """How fast the weights follow the text, and how strongly they are drawn back. With rate 0 evaluation is static."""

    rate: float
    decay: float


class GradientScales(NamedTuple):
    """Scales of each parameter: what its gradient is divided by, and how strongly it decays compared with the mean."""

    divisor: list[Tensor]  # r + epsilon
    relative: list[Tensor]  # r / mean(r)


class AdaptingModel:
    """A copy of a model, in evaluation mode, that learns from what it reads. The model itself never changes."""

    def __init__(self, model: Model, reader: TextReader, device: torch.device) -> None:
        self.model = copy.deepcopy(model).to(device).eval().requires_grad_()
        self.weights = list(self.model.parameters())
        self.reader, self.device = reader, device
        self.state: State = None

    def measure(self, batch: ScoringBatch) -> tuple[TokenMetrics, Tensor]:
        """Measure all targets of a batch [B T]; return also the mean nats of the scored ones [], which carry a gradient."""
        output = read_batch(self.model, self.reader, batch, self.state, self.device)
        self.state = tree_map_only(Tensor, Tensor.detach, output.state)
        targets = torch.from_numpy(batch.tokens[:, 1:]).to(self.device)
        assert isinstance(output.readout, Readout)
        loss, _ = output.readout.nll(output.hidden, targets, torch.from_numpy(batch.scored).to(self.device, torch.float32))
        return measure_tokens(output.readout, output.hidden, targets, self.model.vocabulary), loss.value()

    def compute_gradients(self, loss: Tensor) -> list[Tensor]:
        """Compute the gradient of each parameter; zero where the loss does not depend on it."""
        return list(torch.autograd.grad(loss, self.weights, allow_unused=True, materialize_grads=True))


def measure_gradient_scales(model: Model, training: TextReader, device: torch.device) -> GradientScales:
    """Measure the scales on batches of the training text, read in the way in which the text will be scored."""
    adapting, count = AdaptingModel(model, training, device), 0
    squares = [torch.zeros_like(weight) for weight in adapting.weights]
    units = np.unique(np.linspace(0, len(training) - 1, TRAINING_BATCHES).round().astype(np.int64))
    for batch in _iterate_batches(training, units, TRAINING_BATCHES // len(units)):
        _, loss = adapting.measure(batch)
        for square, gradient in zip(squares, adapting.compute_gradients(loss), strict=True):
            square.addcmul_(gradient, gradient)
        count += 1
    roots = [(square / count).sqrt() for square in squares]
    mean = sum(float(to_float64(root).sum()) for root in roots) / sum(root.numel() for root in roots)
    mean = mean or 1.0  # without any gradient the model stays as it is
    return GradientScales([root + EPSILON * mean for root in roots], [root / mean for root in roots])


def evaluate_dynamically(
    model: Model, reader: TextReader, scales: GradientScales, adaptation: Adaptation, device: torch.device
) -> TokenRecord:
    """Measure every target of the text, each before any weight has learned from it."""
    adapting = AdaptingModel(model, reader, device)
    origin = [weight.detach().clone() for weight in adapting.weights]
    record = TokenRecord.empty(reader.part.target_count)
    for batch in _iterate_batches(reader, np.arange(len(reader))):
        measured, loss = adapting.measure(batch)
        record.write(batch, measured)
        if adaptation.rate:
            _update_weights(adapting.weights, adapting.compute_gradients(loss), origin, scales, adaptation)
    return record


def _iterate_batches(reader: TextReader, units: Ints, most: int | None = None) -> Iterator[ScoringBatch]:
    """Yield batches of one row of some units, in the order of the text, at most `most` of a unit."""
    for unit in units:
        yield from islice(reader.batches(np.array([unit]), 1), most)


@torch.no_grad()
def _update_weights(
    weights: Sequence[Tensor], gradients: Sequence[Tensor], origin: Sequence[Tensor], scales: GradientScales, adaptation: Adaptation
) -> None:
    """Make one step on what has been scored."""
    rate, decay = adaptation
    for index, weight in enumerate(weights):
        back = (decay * scales.relative[index]).clamp_(max=1.0).mul_(origin[index] - weight)
        weight.add_(back).addcdiv_(gradients[index], scales.divisor[index], value=-rate)
