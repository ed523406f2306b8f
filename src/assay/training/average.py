"""An exponential moving average of the weights (Polyak and Juditsky, 1992), which is scored beside the weights themselves.

a <- d a + (1 - d) w after every step, with d_t = min(d, (1 + t) / (10 + t)) after step t, so that a short run does not remember how its
weights began; the ramp is the one of TensorFlow's ExponentialMovingAverage. Buffers are taken over as they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


class Average:
    """The average of a model's weights. Training does not see it."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.weights: Weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights that step t, counted from 0, has left."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.weights[name].lerp_(tensor, 1 - decay)
            else:
                self.weights[name].copy_(tensor)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the average for its weights; afterwards exactly what it had."""
        own = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        try:
            self.model.load_state_dict(self.weights)
            yield
        finally:
            self.model.load_state_dict(own)

    def restore(self, weights: Weights) -> None:
        """Go on from a saved average."""
        self.weights = {name: tensor.to(self.weights[name].device) for name, tensor in weights.items()}
