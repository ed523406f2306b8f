"""A gated causal convolution (after Dauphin et al., arXiv 1612.08083, section 2): each position mixes the last k, and a gate selects.

y = W_o (c * sigmoid(W_g x)), c_t = sum_{j < k} w_j * u_{t-j}, u = W_v x. In the paper both branches are full convolutions; here they are
maps of single positions, and one of them goes through a depthwise convolution, which has k D weights w instead of k D^2. These begin
at 1 / k: a mean of the last k positions. L layers see L (k - 1) + 1 positions; the cost is O(T k D) beside the maps.

The state is u at the last k - 1 positions. Where documents are masked, a tap that reaches into another one gives 0.
"""

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import State
from assay.nn.linear import Linear, Role
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs, LayerInputs, Mixer, MixerConfig


class ConvolutionConfig(MixerConfig):
    """A gated mean of the last few positions, with a weight for each of them and each feature."""

    kind: Literal["convolution"] = "convolution"
    kernel: int = setting(4, "positions that an output sees k, its own among them", alternative=2, ge=1)
    bias: bool = setting(True, "biases in the maps", alternative=False, affects="cost")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return Convolution(self, width)


class ConvolutionState(NamedTuple):
    """The last k - 1 positions, zeros where there were none."""

    value: Tensor  # [B, k - 1, D] u
    document: Tensor | None  # [B, k - 1]; None where documents are not masked


class Convolution(Mixer):
    """y = W_o (conv(W_v x) * sigmoid(W_g x))."""

    bounded_state: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    role: ClassVar[Role] = "vector"  # of the taps: a weight for each position and feature is no matrix

    def __init__(self, config: ConvolutionConfig, width: int) -> None:
        super().__init__()
        self.kernel, self.width = config.kernel, width
        self.taps = nn.Parameter(torch.full((config.kernel, width), 1 / config.kernel))  # w, the nearest position first
        self.project = Linear(width, 2 * width, bias=config.bias, parts=(width, width))
        self.output = Linear(width, width, bias=config.bias, residual=True)

    @property
    def reach(self) -> int:
        return self.kernel - 1

    def init_state(self, batch: int, like: Tensor) -> ConvolutionState:
        return ConvolutionState(like.new_zeros(batch, self.kernel - 1, self.width), None)

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        u, gate = self.project(x).chunk(2, dim=-1)  # [B, T, D]
        past = self.init_state(x.shape[0], u) if state is None else state
        rows = torch.cat((past.value.to(u.dtype), u), dim=1)  # [B, k - 1 + T, D]
        document = inputs.document
        if document is not None:
            before = document[:, :1].expand(-1, self.kernel - 1) if past.document is None else past.document
            document = torch.cat((before, document), dim=1)
        y: Tensor = self.output(self._convolve(rows, document, x.shape[1]) * gate.sigmoid())
        if state is None:
            return y, None, NO_AUX_OUTPUTS
        return y, ConvolutionState(rows[:, x.shape[1] :], None if document is None else document[:, x.shape[1] :]), NO_AUX_OUTPUTS

    def _convolve(self, rows: Tensor, document: Tensor | None, length: int) -> Tensor:
        """Compute c [B, T, D] of the last T rows."""
        taps, now = self.taps.to(rows.dtype), slice(self.kernel - 1, None)
        c = taps[0] * rows[:, now]
        for back in range(1, self.kernel):
            earlier = slice(self.kernel - 1 - back, self.kernel - 1 - back + length)
            tap = taps[back] * rows[:, earlier]
            c = c + (tap if document is None else tap * (document[:, now] == document[:, earlier]).unsqueeze(-1))
        return c
