"""Dynamic evaluation: the model goes on learning from the text that it has been scored on (Krause et al., arXiv 1709.07432).

The text is read piece by piece in its order. Each piece is scored first; then its gradient g, of the mean loss of its targets, moves the
weights, scaled by the root mean square r of gradients of the training text, and a decay draws them back to where training left them:

    theta <- theta - rate g / (r + epsilon) + decay min(r / mean(r), 1 / decay) (theta_0 - theta)        (section 4.1, the RMS rule)

What differs from the authors' code: mean(r) is over all weights and not over the means of tensors; epsilon is a share of it, so that one
rate serves models whose gradients differ in size; r is of `SEGMENTS` pieces spread over the training text, not of all of it. The weights
that arise are thrown away. The figure answers another question than the static one, how well a model predicts *and adapts*, so it stands
beside that one and never in its place.
"""

import copy
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from assay.core.torch_internals import tree_map_only
from assay.core.types import State
from assay.evaluation.measure import Measured, Record, measure
from assay.evaluation.reading import Ints, Piece, Reading
from assay.models.base import Model
from assay.models.readout import Readout

SEGMENTS = 200  # pieces of the training text: r then hardly depends on which they are
EPSILON = 0.1  # of mean(r): no weight goes more than about ten times as far as one of a mean gradient


class Adaptation(NamedTuple):
    """How fast the weights follow the text, and how strongly they are drawn back. With rate 0 evaluation is static."""

    rate: float
    decay: float


class Scales(NamedTuple):
    """For each parameter: what its gradient is divided by, and how strongly it decays compared with the mean."""

    divisor: list[Tensor]  # r + epsilon
    relative: list[Tensor]  # r / mean(r)


class Pupil:
    """A copy of a model, in evaluation mode, that can learn from what it reads. The model itself is never touched."""

    def __init__(self, model: Model, reading: Reading, device: torch.device) -> None:
        self.model = copy.deepcopy(model).to(device).eval().requires_grad_()
        self.weights = list(self.model.parameters())
        self.reading, self.device = reading, device
        self.state: State = None

    def read(self, piece: Piece) -> tuple[Measured, Tensor]:
        """What is measured of all targets of a piece [B T], and the mean nats of the scored ones [], which carry a gradient."""
        row = torch.from_numpy(piece.tokens).to(self.device)
        if self.reading.carries and piece.fresh:
            self.state = self.model.init_state(len(row))
        documents = None if piece.documents is None else torch.from_numpy(piece.documents).to(self.device)
        output = self.model(row[:, :-1], self.state, documents)
        self.state = tree_map_only(Tensor, Tensor.detach, output.state)
        first = output.predictions[0]
        assert isinstance(first.readout, Readout)
        loss, _ = first.readout.nll(first.hidden, row[:, 1:], torch.from_numpy(piece.scored).to(self.device, torch.float32))
        return measure(first.readout, first.hidden, row[:, 1:], self.model.vocabulary), loss.value()

    def gradients(self, loss: Tensor) -> list[Tensor]:
        """Of each parameter; zero where the loss does not depend on it."""
        return list(torch.autograd.grad(loss, self.weights, allow_unused=True, materialize_grads=True))


def gradient_scales(model: Model, training: Reading, device: torch.device) -> Scales:
    """The scales that pieces of the training text give, read in the way in which the text will be scored."""
    pupil, count = Pupil(model, training, device), 0
    squares = [torch.zeros_like(weight) for weight in pupil.weights]
    units = np.unique(np.linspace(0, len(training) - 1, SEGMENTS).round().astype(np.int64))
    for piece in pieces(training, units, SEGMENTS // len(units)):
        _, loss = pupil.read(piece)
        for square, gradient in zip(squares, pupil.gradients(loss), strict=True):
            square.addcmul_(gradient, gradient)
        count += 1
    roots = [(square / count).sqrt() for square in squares]
    mean = sum(float(root.double().sum()) for root in roots) / sum(root.numel() for root in roots)
    mean = mean or 1.0  # of a model that nothing can teach, which then stays as it is
    return Scales([root + EPSILON * mean for root in roots], [root / mean for root in roots])


def dynamic_record(model: Model, reading: Reading, scales: Scales, adaptation: Adaptation, device: torch.device) -> Record:
    """What is measured of every target of the text, each before any weight has seen it."""
    pupil = Pupil(model, reading, device)
    origin = [weight.detach().clone() for weight in pupil.weights]
    record = Record.empty(reading.part.target_count)
    for piece in pieces(reading, np.arange(len(reading))):
        measured, loss = pupil.read(piece)
        record.write(piece.place[piece.scored], piece.scored, measured)
        if adaptation.rate:
            _learn(pupil, pupil.gradients(loss), origin, scales, adaptation)
    return record


def pieces(reading: Reading, units: Ints, most: int | None = None) -> Iterator[Piece]:
    """The pieces of some units in the order of the text, a row each, at most so many of a unit."""
    for unit in units:
        yield from islice(reading.batches(np.array([unit]), 1), most)


@torch.no_grad()
def _learn(pupil: Pupil, gradients: list[Tensor], origin: list[Tensor], scales: Scales, adaptation: Adaptation) -> None:
    """One step on what has been scored."""
    rate, decay = adaptation
    for index, weight in enumerate(pupil.weights):
        back = (decay * scales.relative[index]).clamp_(max=1.0).mul_(origin[index] - weight)
        weight.add_(back).addcdiv_(gradients[index], scales.divisor[index], value=-rate)
