"""A sound mixer, simple enough to be seen through: the control of the suite's own tests."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from assay.core.types import Mean, State
from assay.nn.linear import Linear
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs, LayerInputs, Mixer


class Past(NamedTuple):
    """What a sound average keeps: all of its past."""

    x: Tensor  # [B, S, D]
    document: Tensor | None  # [B, S]


class Sound(Mixer):
    """y_t = W sum_s softmax_s(slope (s - t)) x_s over s <= t in the same document."""

    property_exemptions: ClassVar[dict[str, str]] = {}

    def __init__(self, slope: float, width: int) -> None:
        super().__init__()
        self.slope = slope
        self.output = Linear(width, width, bias=True, residual=True)

    def init_state(self, batch: int, like: Tensor) -> State:
        return Past(like.new_empty(batch, 0, like.shape[-1]), None)

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        past = Past(x, inputs.document) if state is None else self.joined(state, x, inputs)
        y = self.output(self.average(past, x.shape[1], inputs.document))
        return y, None if state is None else self.kept(past, x.shape[1]), NO_AUX_OUTPUTS

    def joined(self, state: State, x: Tensor, inputs: LayerInputs) -> Past:
        """The past and what is new."""
        document = inputs.document
        if document is not None and state.document is not None:
            document = torch.cat([state.document, document], dim=1)
        return Past(torch.cat([state.x, x], dim=1), document)

    def kept(self, past: Past, new: int) -> Past:
        """What the next call is given."""
        return past

    def average(self, past: Past, queries: int, document: Tensor | None) -> Tensor:
        """The weighted mean of what each of the last `queries` positions may see."""
        keys = past.x.shape[1]
        time = torch.arange(keys, device=past.x.device)
        gap = time[keys - queries :].unsqueeze(-1) - time  # [T, S]
        mask = self.visible(gap).unsqueeze(0)
        if document is not None and past.document is not None:
            mask = mask & (document.unsqueeze(-1) == past.document.unsqueeze(-2))
        scores = (-self.slope * gap.to(past.x.dtype)).masked_fill(~mask, -torch.inf)
        weighted: Tensor = scores.softmax(-1) @ past.x
        return weighted

    def visible(self, gap: Tensor) -> Tensor:
        """Whether a position may see another that lies `gap` before it."""
        return gap >= 0


class Reporting(Sound):
    """Sound, and reports the energy of its output as a loss."""

    aux_loss_weights: ClassVar[dict[str, float]] = {"energy": 0.5}

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        y, state, _ = super().forward(x, state, inputs)
        energy = Mean(y.square().mean((-2, -1)).sum(), torch.tensor(float(len(y))))
        return y, state, AuxOutputs({"energy": energy}, {})
