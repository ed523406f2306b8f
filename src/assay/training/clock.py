"""Estimate how long a run will still take, from every kind of work that it does, and how far off the estimates were."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from assay.core.renames import update_work

DECAY = 0.98  # each new duration weighs 2 % against the running mean: follows a machine that slows down, ignores a hiccup
WARM_UP, STEP = "warm_up", "step"  # the kinds of work that are training; the others are called like their hooks


def training_seconds(stored: Mapping[str, float]) -> float:
    """Add up the seconds of training steps, the first ones included, of seconds by kind of work as a run stores them."""
    spent = update_work(stored)
    return spent.get(STEP, 0.0) + spent.get(WARM_UP, 0.0)


class Clock:
    """Seconds by kind of work: steps, validations, samples, saves."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.running_mean: dict[str, float] = {}
        self.predictions: list[tuple[float, float]] = []  # (elapsed, predicted seconds left)
        self._resumed = 0.0
        self._started = time.perf_counter()

    @contextmanager
    def measure(self, kind: str) -> Iterator[None]:
        """Time one piece of work."""
        started = time.perf_counter()
        yield
        self.add(kind, time.perf_counter() - started)

    def add(self, kind: str, seconds: float) -> None:
        """Record one finished piece of work."""
        self.spent[kind] = self.spent.get(kind, 0.0) + seconds
        self.counts[kind] = self.counts.get(kind, 0) + 1
        mean = self.spent[kind] / self.counts[kind]
        few = self.counts[kind] <= 1 / (1 - DECAY)
        self.running_mean[kind] = mean if few else DECAY * self.running_mean[kind] + (1 - DECAY) * seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the run started, interruptions left out."""
        return self._resumed + time.perf_counter() - self._started

    def estimate(self, work: Mapping[str, int]) -> float:
        """Estimate the seconds for so many pieces of each kind of work. A kind that has not happened yet counts as one step."""
        return sum(count * self.running_mean.get(kind, self.seconds_per_step) for kind, count in work.items())

    @property
    def seconds_per_step(self) -> float:
        """Seconds a step now takes: the first ones (memory, caches, compilation) count only until there are others."""
        return self.running_mean.get(STEP, self.running_mean.get(WARM_UP, 0.0))

    def estimate_and_record(self, work: Mapping[str, int]) -> float:
        """Estimate, and record the estimate for `mean_error`."""
        seconds = self.estimate(work)
        self.predictions.append((self.elapsed, seconds))
        return seconds

    def mean_error(self) -> float | None:
        """Compute the mean of |predicted end - real end| / real duration over the predictions made after the first tenth of the run."""
        end = self.elapsed
        errors = [abs(at + left - end) / end for at, left in self.predictions if at > 0.1 * end]
        return sum(errors) / len(errors) if errors else None

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to go on estimating."""
        means = {"spent": self.spent, "counts": self.counts, "recent": self.running_mean}
        return {**means, "predictions": self.predictions, "elapsed": self.elapsed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a saved state."""
        self.spent, self.counts, self.running_mean = (update_work(state[key]) for key in ("spent", "counts", "recent"))
        self.predictions = [tuple(item) for item in state["predictions"]]
        self._resumed, self._started = state["elapsed"], time.perf_counter()
