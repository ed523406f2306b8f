"""A constant factor at a place of a model that muP (`nn/init.py`) names: 1 unless the initialisation sets another."""

from typing import Literal

from torch import Tensor, nn

Place = Literal["logits", "queries"]


class Multiplier(nn.Module):
    """y = c x. `place` is before the head or at the queries of attention, `size` the features that the product after it sums over."""

    def __init__(self, place: Place, size: int) -> None:
        super().__init__()
        self.place, self.size = place, size
        self.factor = 1.0

    def multiply_by(self, factor: float) -> None:
        """Take another c; the initialisation asks for it."""
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x if self.factor == 1.0 else x * self.factor

    def extra_repr(self) -> str:
        return f"{self.place}, {self.size}, factor={self.factor:g}"
