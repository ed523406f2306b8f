"""The progress of a model of blocks: its place in a text from call to call, and its way through the layers in one call."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from assay.core.types import Mean, add_means
from assay.nn.mixer.base import AuxOutputs, LayerInputs


class Cursor(NamedTuple):
    """The place at which a stream continues."""

    stream: int  # tokens read so far
    document: Tensor | None  # [B] number of the document that the last token was in
    offset: Tensor | None  # [B] position at which that document continues

    def advance(self, tokens: Tensor, documents: Tensor | None) -> tuple[Tensor, "Cursor"]:
        """Compute the positions [1 or B, T] of the next tokens [B, T], which restart at each of `documents`, and the cursor after them."""
        time = torch.arange(tokens.shape[1], device=tokens.device)
        stream = self.stream + tokens.shape[1]
        if documents is None:
            return (time + self.stream).unsqueeze(0), Cursor(stream, None, None)
        before = documents[:, :1] if self.document is None else self.document.unsqueeze(1)
        offset = torch.zeros_like(before) if self.offset is None else self.offset.unsqueeze(1)
        begins = documents != torch.cat([before, documents[:, :-1]], dim=1)  # [B, T]
        position = time - torch.where(begins, time, -offset).cummax(dim=1).values
        return position, Cursor(stream, documents[:, -1], position[:, -1] + 1)


START = Cursor(0, None, None)


class BlockModelState(NamedTuple):
    """What a model of blocks carries from one piece of a text to the next."""

    cursor: Cursor
    layers: Any  # the states of its layers

    @property
    def stream(self) -> int:
        """Tokens read so far."""
        return self.cursor.stream


class ForwardPass:
    """One call on its way through the blocks: the inputs of the next layer, and the losses and statistics of the layers so far."""

    def __init__(self, inputs: LayerInputs) -> None:
        self.inputs, self.next_layer = inputs, 0  # the number of the next layer
        self.losses: dict[str, Mean] = {}
        self.stats: dict[str, Mean] = {}
        self.layer_outputs: list[Tensor] = []  # of each layer so far, while gradients are recorded
        self.last_input: Tensor

    def set_inputs(self, inputs: LayerInputs, layer: int | None = None) -> None:
        """Continue with other inputs, and with layer number `layer` where it is not the next one."""
        self.inputs, self.next_layer = inputs, self.next_layer if layer is None else layer

    def record_layer(self, layer_input: Tensor, layer_output: Tensor, aux: AuxOutputs) -> None:
        """Add what a layer reports, and keep its input and output for the objective."""
        self.set_inputs(self.inputs.with_first_value(aux.value), self.next_layer + 1)
        self.losses, self.stats = add_means(self.losses, aux.losses), add_means(self.stats, aux.stats)
        if torch.is_grad_enabled():
            self.layer_outputs.append(layer_output)
            self.last_input = layer_input
