"""Time training steps of which nothing else is kept."""

import time
from itertools import pairwise
from typing import Any

import torch

from assay.core.devices import synchronize
from assay.training.loop import train_step
from assay.training.state import TrainSetup, TrainState


def time_steps(state: TrainState, setup: TrainSetup, least: int, most: float = 0, seconds: float = 0.0) -> list[float]:
    """Measure the seconds of each of `least` training steps, and of further ones, `most` in all, until so many seconds have passed.

    On a GPU its own clock is read, so that no step waits for the host.
    """
    device = setup.device
    synchronize(device)
    began, marks = time.perf_counter(), [_mark_time(device)]
    while len(marks) <= least or (len(marks) <= most and time.perf_counter() - began < seconds):
        train_step(state, setup)
        marks.append(_mark_time(device))
    synchronize(device)
    return [float(end - begin if isinstance(end, float) else begin.elapsed_time(end) / 1000) for begin, end in pairwise(marks)]


def _mark_time(device: torch.device) -> Any:
    """Mark a moment in the work of a device: its seconds, or on a GPU an event."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event
