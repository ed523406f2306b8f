"""A model from elsewhere as a `Model`: any callable from ids [B, T] to logits [B, T, V]."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from assay.core.types import Output, Prediction, State
from assay.errors import UserError
from assay.models.base import Model

Callee = Callable[[Tensor], Any]


class NotLogits(UserError):
    """The model returned something else than logits of every position."""


class LastPositionOnly(NotLogits):
    """The model returned the logits of the last position alone."""


@dataclass(frozen=True, slots=True)
class ForeignCall:
    """A callable that may return logits, an object with `.logits`, or a tuple that begins with them."""

    callee: Callee
    device: torch.device

    def logits(self, ids: Tensor) -> Tensor:
        """[B, T, V] for ids [B, T]. Raises NotLogits. What the callable keeps of a call stays usable in training."""
        with torch.inference_mode(False), torch.no_grad():
            return logits_of(self.callee(ids.to(self.device).clone()), *ids.shape)


def logits_of(returned: Any, batch: int, length: int) -> Tensor:
    """The logits [B, T, V] in what a model returned; [B T, V] is taken for them as well. Raises NotLogits."""
    first = returned[0] if isinstance(returned, tuple | list) and returned else None
    found = returned if isinstance(returned, Tensor) else getattr(returned, "logits", first)
    if not isinstance(found, Tensor) or not found.is_floating_point():
        raise NotLogits(
            f"the model returned {type(returned).__name__} without logits; give a callable that returns a tensor of logits [B, T, V], "
            "such as `lambda ids: model(ids).scores`"
        )
    logits: Tensor = found
    if logits.ndim == 2 and len(logits) == batch * length:
        logits = logits.unflatten(0, (batch, length))
    if logits.ndim == 3 and logits.shape[:2] == (batch, length):
        return logits
    if length > 1 and tuple(logits.shape[:-1]) in ((batch, 1), (batch,)):
        raise LastPositionOnly(
            "the model gives the logits of the last position only, as nanoGPT does where it is given no targets; "
            "give a callable that returns all of them, such as `lambda ids: model(ids, ids)`"
        )
    raise NotLogits(f"the model returned logits of shape {list(logits.shape)} for ids of shape {[batch, length]}; return [B, T, V]")


class ForeignModel(Model):
    """The callable as a model without state. Where a row begins with the id V, no token, its first prediction is uniform over V."""

    def __init__(self, call: ForeignCall, vocabulary: int) -> None:
        super().__init__()
        self._call, self.vocabulary = call, vocabulary

    @property
    def masks_documents(self) -> bool:
        return False

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        nothing = tokens == self.vocabulary
        read, begins = tokens.masked_fill(nothing, 0), nothing[:, 0]
        logits = self._call.logits(read)
        if begins.any():
            logits = logits.clone()
            logits[begins] = 0.0
            if tokens.shape[1] > 1:
                logits[begins, 1:] = self._call.logits(read[begins, 1:])
        return Output((Prediction("next", logits, torch.clone, 1),), None, {}, {})  # the readout's result may be overwritten


def module_of(model: Callee) -> nn.Module | None:
    """The module that a callable is, or whose method it is; None where it is neither."""
    owner = model if isinstance(model, nn.Module) else getattr(model, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


def device_of(model: Callee) -> torch.device:
    """Where the module has its weights; the CPU for any other callable."""
    module = module_of(model)
    held = None if module is None else next((tensor for tensors in (module.parameters(), module.buffers()) for tensor in tensors), None)
    return torch.device("cpu") if held is None else held.device


@contextmanager
def evaluating(model: Callee) -> Iterator[None]:
    """The module in evaluation mode; each of its parts is put back as it was."""
    module = module_of(model)
    modes = {} if module is None else {part: part.training for part in module.modules()}
    try:
        if module is not None:
            module.eval()
        yield
    finally:
        for part, training in modes.items():
            part.training = training


def describe_model(model: Callee) -> str:
    """The name of a model and, of a module, the first digits of the sha256 of its weights."""
    module = module_of(model)
    if module is None:
        return f"model {getattr(model, '__name__', type(model).__name__)}"
    whole = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, Tensor):
            whole.update(name.encode() + str(tensor.dtype).encode())
            whole.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return f"model {type(module).__name__}, weights {whole.hexdigest()[:8]}"
