"""Put the micro-batches of each step on the device. On a GPU the next step's are gathered and pinned while this one is computed."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch

from assay.core.types import Batch
from assay.data.batches import Batches, shard_batch, split_rows
from assay.training.carried_state import RowRange


class StepShare(NamedTuple):
    """Which part of a step a process computes."""

    step: int
    rank: int
    world: int
    accumulation: int


class StepBatches(NamedTuple):
    """The micro-batches of a step that one process computes, and the size of the global batch."""

    micro_batches: list[Batch]
    row_ranges: list[RowRange]  # where each micro-batch is in the global batch
    targets: float
    rows: int


class Prefetcher:
    """Reads the batches of each step, one ahead in a thread: gathering a batch takes far less time than computing it."""

    def __init__(self, batches: Batches, device: torch.device, *, ahead: bool) -> None:
        self.batches, self.device = batches, device
        self._thread = ThreadPoolExecutor(1, "prefetcher") if ahead else None
        self._ahead: tuple[StepShare, Future[StepBatches]] | None = None

    def get(self, step_share: StepShare) -> StepBatches:
        """Return the micro-batches of a step, on the device."""
        if self._thread is None:
            return self.gather(step_share)
        gathered, future = self._ahead or (None, None)
        batches = future.result() if future is not None and gathered == step_share else self.gather(step_share)
        following = step_share._replace(step=step_share.step + 1)
        self._ahead = (following, self._thread.submit(self.gather, following))
        return batches._replace(micro_batches=[batch.to(self.device) for batch in batches.micro_batches])

    def gather(self, step_share: StepShare) -> StepBatches:
        """Gather the micro-batches of a step, in memory from which a GPU can copy by itself."""
        rows = self.batches.batch_at(step_share.step)
        batches = shard_batch(rows, step_share.rank, step_share.world, step_share.accumulation)
        if self.device.type == "cuda":
            batches = [batch.pin_memory() for batch in batches]
        return StepBatches(batches, _row_ranges(len(rows.tokens), step_share), rows.targets, rows.row_count)


def _row_ranges(rows: int, share: StepShare) -> list[RowRange]:
    """Return the rows of the global batch that each micro-batch is; an empty one is behind the last row."""
    parts = split_rows(rows, share.rank, share.world, share.accumulation)
    return [RowRange(int(part[0]), int(part[-1]) + 1, rows) if len(part) else RowRange(rows, rows, rows) for part in parts]
