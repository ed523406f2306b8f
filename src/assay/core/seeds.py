"""Named random streams: data, initialisation, dropout, evaluation and sampling never draw from one another.

Every stream is a pure function of the run's seed and of what it is for, so nothing about it has to be saved.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

Stream = Literal["data", "init", "dropout", "weights", "evaluation", "sampling", "bootstrap"]


def derive(seed: int, stream: Stream, *counters: int) -> int:
    """A 63-bit seed for one use of a stream, such as one epoch's shuffle or one step's dropout."""
    text = "/".join([str(seed), stream, *map(str, counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def numpy_stream(seed: int, stream: Stream, *counters: int) -> np.random.Generator:
    """A numpy generator for one use of a stream."""
    return np.random.Generator(np.random.PCG64(derive(seed, stream, *counters)))


def torch_stream(seed: int, stream: Stream, *counters: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for one use of a stream."""
    return torch.Generator(device).manual_seed(derive(seed, stream, *counters))


@contextmanager
def default_stream(seed: int, stream: Stream, *counters: int) -> Iterator[None]:
    """Torch's default generators follow a stream inside, and are as before afterwards."""
    with keep_default_generators():
        torch.manual_seed(derive(seed, stream, *counters))
        yield


@contextmanager
def keep_default_generators() -> Iterator[None]:
    """Torch's default generators are afterwards as before, whatever was drawn inside."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        yield
