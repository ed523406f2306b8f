"""The values that models, objectives and training exchange: batches, means, predictions, outputs, progress."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from assay.core.devices import to_float64

State = Any  # a pytree of tensors; None = start at position 0 and keep nothing


class Mean(NamedTuple):
    """A sum and the count to divide it by. Losses and metrics are passed on in this form, so that means are never averaged."""

    total: Tensor  # []
    count: Tensor  # type: ignore[assignment]  # [], hides tuple.count

    def add(self, other: "Mean") -> "Mean":
        """Add the sums and the counts."""
        return Mean(self.total + other.total, self.count + other.count)

    def value(self) -> Tensor:
        """Compute total / count, or 0 where nothing was counted."""
        return torch.where(self.count > 0, self.total / self.count.clamp_min(1e-30), self.total * 0)


def add_means(left: Mapping[str, Mean], right: Mapping[str, Mean]) -> dict[str, Mean]:
    """Add two collections of means by name."""
    merged = dict(left)
    for name, mean in right.items():
        merged[name] = merged[name].add(mean) if name in merged else mean
    return merged


class Term(NamedTuple):
    """One part of the training loss, for the log: it adds `scale * mean.total / (count of the global batch)` to the total."""

    scale: float
    mean: Mean


class Losses(NamedTuple):
    """What an objective computes of one micro-batch: the scalar to differentiate, its parts by name, and the statistics of layers."""

    total: Tensor  # [], this micro-batch's share of the loss of the global batch
    terms: dict[str, Term]  # detached; only the next-token loss is called `loss`
    losses: Mapping[str, Mean]  # of the model's layers and of the blocks in the objective
    stats: Mapping[str, Mean]


@dataclass(slots=True)
class Batch:
    """Rows of tokens; `tokens[:, :-1]` is read, `tokens[:, 1:]` is predicted."""

    tokens: Tensor  # [B, T+1] int64
    weight: Tensor  # [B, T] of each target: 1 counts, 0 is padding
    documents: Tensor | None  # [B, T] which document of the row a target belongs to; None: documents are not masked
    resets_state: Tensor  # [B] bool, on the CPU: this row begins a new text, whatever state is carried

    @property
    def targets(self) -> float:
        """The sum of the weights: the divisor of a mean over targets."""
        return float(to_float64(self.weight).sum())

    @property
    def row_count(self) -> int:
        """Rows with at least one weighted target: the divisor of a mean over rows."""
        return int((self.weight > 0).any(dim=1).sum())

    def select_rows(self, rows: Tensor) -> "Batch":
        """Copy some rows; where there are none, the first one with weight 0."""
        chosen = rows if len(rows) else torch.zeros(1, dtype=torch.int64)
        weight = self.weight[chosen] if len(rows) else torch.zeros_like(self.weight[:1])
        return Batch(self.tokens[chosen], weight, None if self.documents is None else self.documents[chosen], self.resets_state[chosen])

    def pin_memory(self) -> "Batch":
        """Copy the batch to pinned memory, from which a GPU copies asynchronously."""
        documents = None if self.documents is None else self.documents.pin_memory()
        return Batch(self.tokens.pin_memory(), self.weight.pin_memory(), documents, self.resets_state)  # the CPU reads resets_state

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to another device."""
        documents = None if self.documents is None else self.documents.to(device, non_blocking=True)
        tokens, weight = (x.to(device, non_blocking=True) for x in (self.tokens, self.weight))
        return Batch(tokens, weight, documents, self.resets_state)


class BlockOutput(NamedTuple):
    """What a block of an objective returns."""

    x: Tensor  # [B, T, D]
    losses: Mapping[str, Mean]
    stats: Mapping[str, Mean]


class BlockAccess(NamedTuple):
    """What an objective needs to run blocks of its own after the model's, or in place of its last one."""

    last_input: Tensor  # [B, T, D], input of the last block
    embed: Callable[[Tensor], Tensor]  # tokens [B, T] -> [B, T, D], without positions and dropout
    run_block: Callable[[Any, Tensor], BlockOutput]  # of a block and its input [B, T, D]


class Internals(NamedTuple):
    """Hidden values of a model that an objective may read."""

    layers: tuple[Tensor, ...]  # hidden states [B, T, D_l] after each layer l; empty where layers are shorter than the text
    blocks: BlockAccess | None = None  # None: the model has no blocks


@dataclass(slots=True)
class Output:
    """What a model returns: the hidden states that predict the next tokens, its state, and the losses and statistics of its layers."""

    hidden: Tensor  # [B, T, D]
    readout: Callable[[Tensor], Tensor]  # hidden states -> logits
    state: State
    losses: dict[str, Mean]
    stats: dict[str, Mean]
    internals: Internals | None = None  # None unless gradients are recorded

    @property
    def logits(self) -> Tensor:
        """[B, T, V]. Computed on access: training never holds them whole."""
        return self.readout(self.hidden)


class TrainingProgress(NamedTuple):
    """The progress of a run, and the counts of the global batch by which this step's losses are divided."""

    step: int
    fraction: float  # of the budget, in [0, 1)
    targets: float  # weighted targets in the global batch
    rows: int  # rows with at least one weighted target in the global batch
