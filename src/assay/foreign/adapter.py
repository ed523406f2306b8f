"""Adapt a model from elsewhere: any callable from ids [B, T] to logits [B, T, V] becomes a `Model`."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from assay.core.devices import resolve_device
from assay.core.types import Output, State
from assay.errors import UserError
from assay.foreign.findings import LAST_POSITION_ONLY
from assay.models.base import Model

ModelFunction = Callable[[Tensor], Any]


class NotLogitsError(UserError):
    """The model did not return logits of every position."""


class LastPositionOnlyError(NotLogitsError):
    """The model returned the logits of the last position only."""


@dataclass(frozen=True, slots=True)
class ForeignCall:
    """A callable that may return logits, an object with `.logits`, or a tuple that begins with them."""

    function: ModelFunction
    device: torch.device

    def logits(self, ids: Tensor) -> Tensor:
        """Return logits [B, T, V] of ids [B, T]. Raises NotLogitsError. Tensors that the callable keeps stay usable in training."""
        with torch.inference_mode(False), torch.no_grad():
            return extract_logits(self.function(ids.to(self.device).clone()), *ids.shape)


def extract_logits(returned: Any, batch: int, length: int) -> Tensor:
    """Find the logits [B, T, V] in what a model returned; [B T, V] is accepted as well. Raises NotLogitsError."""
    first = returned[0] if isinstance(returned, tuple | list) and returned else None
    logits = returned if isinstance(returned, Tensor) else getattr(returned, "logits", first)
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise NotLogitsError(
            f"the model returned {type(returned).__name__} without logits; give a callable that returns a tensor of logits [B, T, V], "
            "such as `lambda ids: model(ids).scores`"
        )
    if logits.ndim == 2 and len(logits) == batch * length:
        logits = logits.unflatten(0, (batch, length))
    if logits.ndim == 3 and logits.shape[:2] == (batch, length):
        return logits
    if length > 1 and tuple(logits.shape[:-1]) in ((batch, 1), (batch,)):
        raise LastPositionOnlyError(f"the model {LAST_POSITION_ONLY}")
    raise NotLogitsError(f"the model returned logits of shape {list(logits.shape)} for ids of shape {[batch, length]}; return [B, T, V]")


class ForeignModel(Model):
    """A callable as a model without state. Where a row begins with the id V, no token, its first prediction is uniform over V."""

    def __init__(self, call: ForeignCall, vocabulary: int) -> None:
        super().__init__()
        self._call, self.vocabulary = call, vocabulary

    @property
    def masks_documents(self) -> bool:
        return False

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        no_token = tokens == self.vocabulary
        read, begins = tokens.masked_fill(no_token, 0), no_token[:, 0]
        logits = self._call.logits(read)
        if begins.any():
            logits = logits.clone()
            logits[begins] = 0.0
            if tokens.shape[1] > 1:
                logits[begins, 1:] = self._call.logits(read[begins, 1:])
        return Output(logits, torch.clone, None, {}, {})  # the readout's result may be overwritten


def find_module(model: ModelFunction) -> nn.Module | None:
    """Find the module that a callable is, or whose method it is; None where it is neither."""
    owner = model if isinstance(model, nn.Module) else getattr(model, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


def choose_device(model: ModelFunction, device: torch.device | str | None) -> torch.device:
    """Choose the device: the given one, else that of a module's weights; the CPU for any other callable."""
    if device is not None:
        return resolve_device(str(device), "device")
    module = find_module(model)
    first = None if module is None else next(chain(module.parameters(), module.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def describe_model(model: ModelFunction) -> str:
    """Return the name of a model and, of a module, the first digits of the sha256 of its weights."""
    module = find_module(model)
    if module is None:
        return f"model {getattr(model, '__name__', type(model).__name__)}"
    whole = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, Tensor):
            whole.update(name.encode() + str(tensor.dtype).encode())
            whole.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return f"model {type(module).__name__}, weights {whole.hexdigest()[:8]}"
