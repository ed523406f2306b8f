"""Mixers that are wrong in one way each, and a sound one beside them: the suite must tell them apart.

The kind `toy` stays out of the registry, except inside `registered()`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.core.types import Mean, State
from assay.nn.linear import Linear
from assay.nn.mixer.base import NOTHING, Extras, Mixer, MixerConfig, Where
from properties.kinds import Case, case_of


class Past(NamedTuple):
    """What a sound average keeps: all of its past."""

    x: Tensor  # [B, S, D]
    document: Tensor | None  # [B, S]


class Sound(Mixer):
    """y_t = W sum_s softmax_s(slope (s - t)) x_s over s <= t in the same document."""

    deviates: ClassVar[dict[str, str]] = {}

    def __init__(self, slope: float, width: int) -> None:
        super().__init__()
        self.slope = slope
        self.output = Linear(width, width, bias=True, residual=True)

    def init_state(self, batch: int, like: Tensor) -> State:
        return Past(like.new_empty(batch, 0, like.shape[-1]), None)

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        past = Past(x, where.document) if state is None else self.joined(state, x, where)
        y = self.output(self.average(past, x.shape[1], where.document))
        return y, None if state is None else self.kept(past, x.shape[1]), NOTHING

    def joined(self, state: State, x: Tensor, where: Where) -> Past:
        """The past and what is new."""
        document = where.document
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

    def joined(self, state: State, x: Tensor, where: Where) -> Past:
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

    def joined(self, state: State, x: Tensor, where: Where) -> Past:
        self.hidden = super().joined(self.hidden if self.hidden is not None else state, x, where)
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

    documents = "whole_rows"


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


class Reporting(Sound):
    """Sound, and reports the energy of its output as a loss."""

    reports: ClassVar[dict[str, float]] = {"energy": 0.5}

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        y, state, _ = super().forward(x, state, where)
        energy = Mean(y.square().mean((-2, -1)).sum(), torch.tensor(float(len(y))))
        return y, state, Extras({"energy": energy}, {})


class Declining(LooksAhead):
    """Looks ahead, and says so."""

    deviates: ClassVar[dict[str, str]] = {"causality": "it looks ahead by design"}


MIXERS: dict[str, type[Sound]] = {cls.__name__: cls for cls in (Sound, *Sound.__subclasses__(), LosesABuffer, Declining, WholeRows)}


class ToyConfig(MixerConfig):
    """One of the mixers above."""

    kind: Literal["toy"] = "toy"
    slope: float = setting(0.1, "how fast the past fades", other=0.4)
    mixer: str = setting("Sound", "which of them", other="LooksAhead")

    def build(self, width: int) -> Mixer:
        return MIXERS[self.mixer](self.slope, width)


def _withdraw() -> None:
    assert ToyConfig.family is not None
    ToyConfig.family._kinds.pop("toy", None)


_withdraw()


@contextmanager
def registered() -> Iterator[None]:
    """The kind `toy` is known inside."""
    assert ToyConfig.family is not None
    ToyConfig.family.add("toy", ToyConfig)
    try:
        yield
    finally:
        _withdraw()


def toy(mixer: str, **decoder: Any) -> Case:
    """The case of one of the mixers above. Needs `registered()`."""
    return case_of(ToyConfig(mixer=mixer), **decoder)
