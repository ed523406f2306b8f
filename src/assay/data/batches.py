"""Batches: which tokens each step reads. Their order is computed from the step alone, so a run resumes from one integer."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch

from assay.core.config import Config, setting
from assay.core.renames import restore
from assay.core.trees import digest
from assay.core.types import Batch
from assay.errors import DataError
from assay.text.token_files import TokenizedPart

Indices = npt.NDArray[np.int64]
CACHED_EPOCHS = 2  # orders kept in memory: a step and its neighbour are in at most two epochs
Policy = Literal["disjoint", "strided", "streams", "documents"]  # how scoring gives each target its context; see evaluation/readers.py


class BatchesConfig(Config, family="batches", package="assay.data"):
    """How a part of the text becomes the batches of a run."""

    carries_state: ClassVar[bool] = False  # whether row b of a step continues row b of the step before, unless it resets the state
    policy: ClassVar[Policy] = "disjoint"  # the default one for scoring a model that was trained on such rows: that of its training

    window: int = setting(128, "targets in a row", alternative=64, affects="training", ge=1, le=2**24)
    size: int = setting(16, "rows in the batch of one step, over all processes", alternative=8, affects="training", ge=1, le=2**24)

    @property
    def masks_documents(self) -> bool:
        """Whether documents inside a row are isolated from each other."""
        return False

    def fingerprint(self, text: str, part: TokenizedPart, seed: int) -> str:
        """Hash all that the rows depend on by sha256: the prepared text, by its own fingerprint, the part, these settings and the seed."""
        return digest([text, part.sha256, restore(self.to_dict(), "batches"), seed])

    @abstractmethod
    def build(self, part: TokenizedPart, end: int, seed: int, fingerprint: str) -> "Batches":
        """Make the batches of a part whose end token is `end`; `fingerprint` is that of the prepared text.

        Raises DataError for an empty part.
        """


class Batches(ABC):
    """The batches of every step of a run over one part of a text. A step is counted from 0."""

    carries_state = False  # as of its config
    fingerprint: str  # of the text, its split, its tokenizer, the part, the settings and the seed
    targets_per_epoch: int
    steps_per_epoch: int

    def __init__(self, config: BatchesConfig, part: TokenizedPart, end: int, seed: int, fingerprint: str) -> None:
        if part.target_count == 0:
            raise DataError("batches: the part of the split to read is empty; give it a share above 0 in [split]")
        self.size, self.window, self.end, self.seed = config.size, config.window, end, seed
        self.carries_state = config.carries_state
        self.fingerprint = config.fingerprint(fingerprint, part, seed)
        self.targets_per_epoch = part.target_count

    @abstractmethod
    def batch_at(self, step: int) -> Batch:
        """Gather the global batch of a step, of all processes together. It depends on the step alone, not on what was read before."""

    def epoch_at(self, step: int) -> float:
        """Compute how many times the text has been read when a step begins."""
        return step / self.steps_per_epoch


def shard_batch(batch: Batch, rank: int, world_size: int, micro_batches: int) -> list[Batch]:
    """Cut out the share of one of `world_size` processes, in micro-batches: all shares in order are the global batch.

    Every process has the same number of micro-batches; one for which no row is left is a row of weight 0.
    """
    return [batch.select_rows(part) for part in split_rows(len(batch.tokens), rank, world_size, micro_batches)]


def split_rows(rows: int, rank: int, world_size: int, micro_batches: int) -> tuple[torch.Tensor, ...]:
    """Return which rows of a global batch are in each micro-batch of one of `world_size` processes."""
    return torch.arange(rows).tensor_split(world_size * micro_batches)[rank * micro_batches : (rank + 1) * micro_batches]
