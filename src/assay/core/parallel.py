"""The processes of a run: one, or those that torchrun started."""

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
    """This process among `world` processes that train one model together."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place, on every one of them."""
        if self.world > 1:
            distributed.all_reduce(tensor)
        return tensor

    def joined(self, tensor: Tensor) -> Tensor:
        """The rows of all processes, in the order of the processes, on every one of them; how many a process has may differ."""
        if self.world == 1:
            return tensor
        parts: list[Tensor] = [tensor] * self.world
        distributed.all_gather_object(parts, tensor.cpu())
        return torch.cat(parts)

    def first(self, text: str) -> str:
        """The main process's text on every process."""
        box = [text]
        if self.world > 1:
            distributed.broadcast_object_list(box, src=0)
        return box[0]

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            distributed.barrier()


def start() -> Parallel:
    """Join the processes that torchrun started, or be alone. NCCL where there are GPUs, gloo elsewhere."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Parallel()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Parallel(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))


def finish() -> None:
    """Leave the group of processes, if there is one: together, and after everything that holds on to it is gone."""
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()  # DDP's reducer lives in reference cycles; left to the end of the process it can outlive gloo's threads
        if sys.exc_info()[0] is None:
            distributed.barrier()
        distributed.destroy_process_group()


@contextmanager
def joined() -> Iterator[Parallel]:
    """The processes of a command. What uses them belongs into a function of its own, so that it is gone when they part."""
    try:
        yield start()
    finally:
        finish()
