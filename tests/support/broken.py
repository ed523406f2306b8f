"""Mixers that are wrong in one way each: the suite must tell them from a sound one.

The kind `toy` stays out of the registry, except inside `registered()`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import State
from assay.nn.linear import Linear
from assay.nn.mixer.base import LayerInputs, Mixer, MixerConfig
from support.kinds import Case, case_of
from support.sound import Past, Sound


class LooksAhead(Sound):
    """Sees the next token as well."""

    def visible(self, gap: Tensor) -> Tensor:
        return gap >= -1


class Forgets(Sound):
    """Begins every call without a past."""

    def kept(self, past: Past, new: int) -> Past:
        return Past(past.x[:, :0], None if past.document is None else past.document[:, :0])


class RemembersOneCall(Sound):
    """Keeps what the last call read, whatever its length: a naive segment memory."""

    def kept(self, past: Past, new: int) -> Past:
        return Past(past.x[:, -new:], None if past.document is None else past.document[:, -new:])


class MixesRows(Sound):
    """Adds the mean of the rows."""

    def average(self, past: Past, queries: int, document: Tensor | None) -> Tensor:
        mean = super().average(past, queries, document)
        return mean + mean.mean(0, keepdim=True)


class IgnoresItsSetting(Sound):
    """Has a slope of its own."""

    def __init__(self, slope: float, width: int) -> None:
        super().__init__(0.1, width)


class LeaksDocuments(Sound):
    """Never looks at where documents end."""

    def average(self, past: Past, queries: int, document: Tensor | None) -> Tensor:
        return super().average(past, queries, None)


class WritesIntoItsState(Sound):
    """Appends to a buffer in place."""

    def init_state(self, batch: int, like: Tensor) -> State:
        return Past(like.new_zeros(batch, 64, like.shape[-1]), like.new_zeros(1, dtype=torch.int64))

    def joined(self, state: State, x: Tensor, inputs: LayerInputs) -> Past:
        begin = int(state.document)
        state.x[:, begin : begin + x.shape[1]] = x.detach()
        return Past(state.x[:, : begin + x.shape[1]], None)

    def kept(self, past: Past, new: int) -> Past:
        x = past.x
        buffer = x._base if x._base is not None else x
        return Past(buffer, torch.tensor([x.shape[1]]))


class KeepsItsPastToItself(Sound):
    """Holds the past in the module instead of in the state."""

    hidden: Past | None = None

    def joined(self, state: State, x: Tensor, inputs: LayerInputs) -> Past:
        self.hidden = super().joined(self.hidden if self.hidden is not None else state, x, inputs)
        return self.hidden


class ReachesTooFar(Sound):
    """Declares a reach of 3 and sees everything, and keeps it."""

    @property
    def reach(self) -> int | None:
        return 3


class ReachesTooShort(Sound):
    """Sees 2 positions back and says that it sees everything."""

    def visible(self, gap: Tensor) -> Tensor:
        return (gap >= 0) & (gap <= 2)


class WholeRows(LeaksDocuments):
    """Cannot isolate documents, and says so: the model must refuse to mask them."""

    masks_documents = False


class HoldsAnIdleParameter(Sound):
    """Has a matrix that nothing reads."""

    def __init__(self, slope: float, width: int) -> None:
        super().__init__(slope, width)
        self.idle = Linear(width, width, bias=False)


class DrawsItsOwnWeights(Sound):
    """Multiplies by a parameter that the default generator filled."""

    def __init__(self, slope: float, width: int) -> None:
        super().__init__(slope, width)
        self.gate = nn.Parameter(torch.randn(width))

    def average(self, past: Past, queries: int, document: Tensor | None) -> Tensor:
        return super().average(past, queries, document) * self.gate


class LosesABuffer(DrawsItsOwnWeights):
    """Multiplies by random numbers that its checkpoint does not hold."""

    def __init__(self, slope: float, width: int) -> None:
        super().__init__(slope, width)
        del self.gate
        self.register_buffer("gate", torch.randn(width), persistent=False)


class DividesByLength(Sound):
    """Divides by T - 1."""

    def average(self, past: Past, queries: int, document: Tensor | None) -> Tensor:
        return super().average(past, queries, document) * (queries - 1) / (queries - 1 + 0.0 * past.x.sum())


class CompilesToSomethingElse(Sound):
    """Takes another way where it is compiled."""

    def average(self, past: Past, queries: int, document: Tensor | None) -> Tensor:
        mean = super().average(past, queries, document)
        return mean * 1.5 if torch.compiler.is_compiling() else mean


class RoundsTooMuch(Sound):
    """Subtracts two large numbers."""

    def average(self, past: Past, queries: int, document: Tensor | None) -> Tensor:
        mean = self.output(super().average(past, queries, document))
        return (mean + 1000) - 1000


class Declining(LooksAhead):
    """Looks ahead, and says so."""

    property_exemptions: ClassVar[dict[str, str]] = {"causality": "it looks ahead by design"}


MIXERS: dict[str, type[Sound]] = {cls.__name__: cls for cls in (Sound, *Sound.__subclasses__(), LosesABuffer, Declining, WholeRows)}


class ToyConfig(MixerConfig):
    """One of the mixers above, or a sound one."""

    kind: Literal["toy"] = "toy"
    slope: float = setting(0.1, "how fast the past fades", alternative=0.4)
    mixer: str = setting("Sound", "which of them", alternative="LooksAhead")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return MIXERS[self.mixer](self.slope, width)


def _withdraw() -> None:
    assert ToyConfig.family is not None
    ToyConfig.family._kinds.pop("toy", None)


_withdraw()


@contextmanager
def registered() -> Iterator[None]:
    """The kind `toy` is known inside."""
    assert ToyConfig.family is not None
    ToyConfig.family.register("toy", ToyConfig)
    try:
        yield
    finally:
        _withdraw()


def toy(mixer: str, **decoder: Any) -> Case:
    """The case of one of the mixers above. Needs `registered()`."""
    return case_of(ToyConfig(mixer=mixer), **decoder)
