"""Plans: which tokens each step reads. The order of the data is arithmetic, so its state is one integer, the step."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from assay.core.config import Config, setting
from assay.core.types import Batch
from assay.errors import DataError
from assay.text.store import Part

Policy = Literal["disjoint", "strided", "carried", "documents"]  # how scoring gives each target its context; see evaluation/reading.py


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The global batch of one step: B rows of T targets. `tokens[:, :-1]` is read, `tokens[:, 1:]` is predicted."""

    tokens: npt.NDArray[np.int64]  # [B, T+1]
    weight: npt.NDArray[np.float32]  # [B, T] of each target: 1 counts, 0 is padding
    documents: npt.NDArray[np.int64] | None  # [B, T] document of the row that a target belongs to; None: no mask
    fresh: npt.NDArray[np.bool_]  # [B] the row begins a new stream, whatever was carried to it

    @property
    def targets(self) -> float:
        """The sum of the weights: the divisor of a mean over targets."""
        return float(self.weight.sum(dtype=np.float64))

    @property
    def row_count(self) -> int:
        """Rows with at least one weighted target: the divisor of a mean over rows."""
        return int((self.weight > 0).any(axis=1).sum())


class Plan(Protocol):
    """The rows of every step of a run."""

    carries: bool  # row b of a step goes on where row b of the step before stopped, unless it is fresh
    fingerprint: str  # of the text, its split, its tokenizer, the part, the plan's settings and the seed
    steps_per_epoch: int
    targets_per_epoch: int

    def rows(self, step: int) -> Rows:
        """The global batch of a step counted from 0: a pure function."""

    def epoch(self, step: int) -> float:
        """How many times the text has been read when a step begins."""


class PlanConfig(Config, family="plan", package="assay.data"):
    """How a part of the text becomes rows."""

    window: int = setting(128, "targets in a row", other=64, bites="training", ge=1)
    batch: int = setting(16, "rows in the batch of one step, over all processes", other=8, bites="training", ge=1)

    @property
    def masks(self) -> bool:
        """Whether documents inside a row are isolated from each other."""
        return False

    @property
    def carries(self) -> bool:
        """Whether a row goes on with the state that the row before it left."""
        return False

    @property
    def policy(self) -> Policy:
        """How a model that was trained on such rows is scored unless asked otherwise: as it was trained."""
        return "disjoint"

    @abstractmethod
    def build(self, part: Part, end: int, seed: int, fingerprint: str) -> Plan:
        """The plan for a part whose end token is `end`; `fingerprint` is that of the prepared text."""


def refuse_empty(part: Part) -> None:
    """Raise DataError for a part without targets."""
    if part.target_count == 0:
        raise DataError("plan: the part of the split to read is empty; give it a share above 0 in [split]")


def share(rows: Rows, rank: int, world: int, micro_batches: int) -> list[Batch]:
    """What one of `world` processes reads of a step, in micro-batches: the parts in order are the global batch.

    Every process has the same number of micro-batches; one for which no row is left is a row of weight 0.
    """
    parts = np.array_split(np.arange(len(rows.tokens)), world * micro_batches)
    return [_batch(rows, part) for part in parts[rank * micro_batches : (rank + 1) * micro_batches]]


def _batch(rows: Rows, part: npt.NDArray[np.int64]) -> Batch:
    chosen = part if len(part) else np.zeros(1, np.int64)
    weight = rows.weight[chosen] if len(part) else np.zeros_like(rows.weight[chosen])
    documents = None if rows.documents is None else _tensor(rows.documents[chosen])
    return Batch(_tensor(rows.tokens[chosen]), _tensor(weight), documents, _tensor(rows.fresh[chosen]))


def _tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
