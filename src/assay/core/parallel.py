"""The processes that train one model: one, or those that torchrun started."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class Parallel:
    """This process among `world_size` processes that train one model together."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints; exactly one does."""
        return self.rank == 0

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all processes, in place, on every process."""
        if self.world_size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def all_gather(self, tensor: Tensor) -> Tensor:
        """Gather the rows of all processes, in their order, on every process; their numbers of rows may differ."""
        if self.world_size == 1:
            return tensor
        parts: list[Tensor] = [tensor] * self.world_size
        distributed.all_gather_object(parts, tensor.cpu())
        return torch.cat(parts)

    def broadcast(self, text: str) -> str:
        """Send the main process's text to every process."""
        box = [text]
        if self.world_size > 1:
            distributed.broadcast_object_list(box, src=0)
        return box[0]

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            distributed.barrier()


@contextmanager
def process_group() -> Iterator[Parallel]:
    """Join the processes that torchrun started, if it did, and leave them afterwards, all together.

    NCCL where there are GPUs, gloo elsewhere. Objects that use the group must be gone when it is left: make them in a function.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Parallel()
        return
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Parallel(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        gc.collect()  # DDP's reducer lives in reference cycles; left to the end of the process it can outlive gloo's threads
        if sys.exc_info()[0] is None:
            distributed.barrier()
        distributed.destroy_process_group()
