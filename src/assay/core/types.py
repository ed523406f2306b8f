"""The values that flow between the parts: a batch, a mean, a prediction, an output, the progress of a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

State = Any  # a pytree of tensors; None = start at position 0 and keep nothing


class Mean(NamedTuple):
    """A sum and the count it is to be divided by: the only way in which a loss or a metric travels."""

    total: Tensor  # []
    count: Tensor  # type: ignore[assignment]  # [], hides tuple.count

    def plus(self, other: "Mean") -> "Mean":
        """Sums and counts added; never a mean of means."""
        return Mean(self.total + other.total, self.count + other.count)

    def value(self) -> Tensor:
        """total / count, and 0 where nothing was counted."""
        return torch.where(self.count > 0, self.total / self.count.clamp_min(1e-30), self.total * 0)


def add_means(left: Mapping[str, Mean], right: Mapping[str, Mean]) -> dict[str, Mean]:
    """Two collections of means added by name."""
    merged = dict(left)
    for name, mean in right.items():
        merged[name] = merged[name].plus(mean) if name in merged else mean
    return merged


class Term(NamedTuple):
    """One part of the training loss, for the log: `scale * mean.total`, divided by what the global batch counts, is in the total."""

    scale: float
    mean: Mean


class Losses(NamedTuple):
    """What an objective makes of one micro-batch: the scalar to differentiate, its parts by name, and what layers report."""

    total: Tensor  # [], this micro-batch's share of the global loss, divided already
    terms: dict[str, Term]  # detached; only the next-token loss is called `loss`
    losses: Mapping[str, Mean]  # of the model's layers and of the blocks in the objective
    stats: Mapping[str, Mean]


@dataclass(slots=True)
class Batch:
    """Rows of tokens; `tokens[:, :-1]` is read, `tokens[:, 1:]` is predicted."""

    tokens: Tensor  # [B, T+1] int64
    weight: Tensor  # [B, T] of each target: 1 counts, 0 is padding
    documents: Tensor | None  # [B, T] which document of the row a target belongs to; None: documents are not masked
    fresh: Tensor  # [B] bool, on the CPU: this row begins a new stream, whatever state is carried

    def pinned(self) -> "Batch":
        """The same batch in memory that a GPU can read by itself, so that copying to it does not wait."""
        documents = None if self.documents is None else self.documents.pin_memory()
        return Batch(self.tokens.pin_memory(), self.weight.pin_memory(), documents, self.fresh)  # fresh is looked at by the host

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        documents = None if self.documents is None else self.documents.to(device, non_blocking=True)
        tokens, weight = (x.to(device, non_blocking=True) for x in (self.tokens, self.weight))
        return Batch(tokens, weight, documents, self.fresh)


class Prediction(NamedTuple):
    """`hidden[:, t]`, read by `readout`, predicts `tokens[t + offset]`."""

    name: str
    hidden: Tensor  # [B, T, D]
    readout: Callable[[Tensor], Tensor]
    offset: int


class Blocks(NamedTuple):
    """How an objective goes on from where the last block of a model begins, or from its end."""

    last_input: Tensor  # [B, T, D], what the last block reads
    embed: Callable[[Tensor], Tensor]  # tokens [B, T] -> [B, T, D], without positions and dropout
    through: Callable[[Any, Tensor], tuple[Tensor, Mapping[str, Mean], Mapping[str, Mean]]]  # x after one more block, its losses and stats


class Inside(NamedTuple):
    """What an objective may look into."""

    layers: tuple[Tensor, ...]  # hidden states [B, T, D_l] after each layer l; empty where layers are not as long as the text
    blocks: Blocks | None = None  # None: the model has no blocks


@dataclass(slots=True)
class Output:
    """What a model returns: its predictions (the first one is the model's), its state, and what its layers report."""

    predictions: tuple[Prediction, ...]
    state: State
    losses: dict[str, Mean]
    stats: dict[str, Mean]
    inside: Inside | None = None  # while gradients are recorded; nothing of it is kept otherwise

    @property
    def logits(self) -> Tensor:
        """[B, T, V] of the first prediction. Computed when asked for: training never holds them whole."""
        first = self.predictions[0]
        return first.readout(first.hidden)


class Progress(NamedTuple):
    """Where a run stands, and what the whole global batch counts: the divisors of this step's losses."""

    step: int
    fraction: float  # of the budget, in [0, 1)
    targets: float  # weighted targets in the global batch
    rows: int  # rows with at least one weighted target in the global batch
