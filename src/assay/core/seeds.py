"""Named random streams, so that a draw for one purpose, such as dropout, never changes the draws for another.

Each seed is a function of the run's seed, the stream and what it is used for, so no generator's state has to be saved.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

RandomStream = Literal[
    "data",  # the order of documents and rows
    "init",  # the first weights
    "dropout",
    "weights",  # that an optimizer such as IVON samples for a step
    "evaluation",  # which documents are compared and judged
    "sampling",  # the tokens of generated text
    "bootstrap",  # the resampling that gives confidence intervals
]


def derive_seed(seed: int, stream: RandomStream, *counters: int) -> int:
    """Derive the 63-bit seed for one use of a stream, such as one epoch's shuffle or one step's dropout."""
    text = "/".join([str(seed), stream, *map(str, counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def numpy_generator(seed: int, stream: RandomStream, *counters: int) -> np.random.Generator:
    """Make a numpy generator for one use of a stream."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, stream, *counters)))


def torch_generator(seed: int, stream: RandomStream, *counters: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a torch generator for one use of a stream."""
    return torch.Generator(device).manual_seed(derive_seed(seed, stream, *counters))


@contextmanager
def preserve_rng_state() -> Iterator[None]:
    """Restore torch's default generators afterwards, whatever was drawn inside."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    apple = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            if apple is not None:
                torch.mps.set_rng_state(apple)
