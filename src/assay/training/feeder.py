"""The micro-batches of each step on the device. On a GPU the next step's are gathered and pinned while this one is computed."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from assay.core.types import Batch
from assay.data.plan import Plan, share
from assay.training.carry import Place


class Share(NamedTuple):
    """Which part of a step a process computes."""

    step: int
    rank: int
    world: int
    micro_batches: int


class Fed(NamedTuple):
    """What one process reads of a step, and what the whole global batch counts."""

    batches: list[Batch]
    places: list[Place]  # where each micro-batch is in the global batch
    targets: float
    rows: int


class Feeder:
    """Reads a plan. One thread is enough: gathering a batch takes far less than computing it, and data order is arithmetic."""

    def __init__(self, plan: Plan, device: torch.device, *, ahead: bool) -> None:
        self.plan, self.device = plan, device
        self._thread = ThreadPoolExecutor(1, "feeder") if ahead else None
        self._ahead: tuple[Share, Future[Fed]] | None = None

    def take(self, part: Share) -> Fed:
        """The micro-batches of a step, on the device."""
        if self._thread is None:
            return self.gather(part)
        asked, future = self._ahead or (None, None)
        fed = future.result() if future is not None and asked == part else self.gather(part)
        following = part._replace(step=part.step + 1)
        self._ahead = (following, self._thread.submit(self.gather, following))
        return fed._replace(batches=[batch.to(self.device) for batch in fed.batches])

    def gather(self, part: Share) -> Fed:
        """The micro-batches of a step, in memory from which a GPU can copy by itself."""
        rows = self.plan.rows(part.step)
        batches = share(rows, part.rank, part.world, part.micro_batches)
        if self.device.type == "cuda":
            batches = [batch.pinned() for batch in batches]
        return Fed(batches, _places(len(rows.tokens), part), rows.targets, rows.row_count)


def _places(rows: int, part: Share) -> list[Place]:
    """Which rows of the global batch each micro-batch is; an empty one stands at the end."""
    parts = np.array_split(np.arange(rows), part.world * part.micro_batches)
    mine = parts[part.rank * part.micro_batches : (part.rank + 1) * part.micro_batches]
    return [Place(int(each[0]), int(each[-1]) + 1, rows) if len(each) else Place(rows, rows, rows) for each in mine]
