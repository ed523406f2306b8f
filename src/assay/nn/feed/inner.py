"""What feed-forward layers do between their two maps: f(a), or f(a) * b."""

from dataclasses import dataclass

from torch import Tensor

from assay.nn.activation import ActivationConfig

MULTIPLE = 8  # of which an inner width that is not given is one


@dataclass(frozen=True, slots=True)
class Inner:
    """An activation, with or without a gate."""

    activation: ActivationConfig
    gated: bool

    def heights(self, hidden: int) -> tuple[int, ...]:
        """The heights of the matrices of the first map, for an inner width F: W_1 [F, D], or W_g and W_1."""
        return (hidden, hidden) if self.gated else (hidden,)

    def width(self, width: int, parts: int = 1) -> int:
        """F such that `parts` such layers have together the matrices 8 D^2 of a perceptron of four times the width D."""
        whole = 8 * width / 3 if self.gated else 4 * width
        return -(-int(-(-whole // parts)) // MULTIPLE) * MULTIPLE

    def __call__(self, h: Tensor) -> Tensor:
        """[..., F] of what the first map gave, [..., 2 F] with a gate."""
        if not self.gated:
            return self.activation.apply(h)
        gate, value = h.chunk(2, dim=-1)
        return self.activation.apply(gate) * value
