"""How long a run will still take, from every kind of work that it does; and how wrong that was."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

Value = TypeVar("Value")
RECENT = 0.98  # each new duration weighs 2 % against the running mean: follows a machine that slows down, ignores a hiccup


WARM_UP, STEP = "warm_up", "step"  # the kinds of work that are training; the others bear the names of their hooks
EARLIER = {"warm-up": WARM_UP}  # as versions before 0.6 wrote it


def by_work(stored: Mapping[str, Value]) -> dict[str, Value]:
    """Figures by kind of work as a run keeps them, those of versions before 0.6 too."""
    return {EARLIER.get(kind, kind): value for kind, value in stored.items()}


def training_seconds(stored: Mapping[str, float]) -> float:
    """Of training steps, the first ones included, in seconds by kind of work as a run keeps them."""
    spent = by_work(stored)
    return spent.get(STEP, 0.0) + spent.get(WARM_UP, 0.0)


class Clock:
    """Seconds by kind of work: steps, validations, samples, saves."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.recent: dict[str, float] = {}
        self.predictions: list[tuple[float, float]] = []  # (elapsed, predicted seconds left)
        self._resumed = 0.0
        self._began = time.perf_counter()

    @contextmanager
    def measure(self, kind: str) -> Iterator[None]:
        """Time one piece of work."""
        began = time.perf_counter()
        yield
        self.add(kind, time.perf_counter() - began)

    def add(self, kind: str, seconds: float) -> None:
        """Note one finished piece of work."""
        self.spent[kind] = self.spent.get(kind, 0.0) + seconds
        self.counts[kind] = self.counts.get(kind, 0) + 1
        mean = self.spent[kind] / self.counts[kind]
        few = self.counts[kind] <= 1 / (1 - RECENT)
        self.recent[kind] = mean if few else RECENT * self.recent[kind] + (1 - RECENT) * seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, interruptions left out."""
        return self._resumed + time.perf_counter() - self._began

    def left(self, work: Mapping[str, int]) -> float:
        """Seconds for so many pieces of each kind of work. A kind that has not happened yet is taken as one step."""
        return sum(count * self.recent.get(kind, self.step) for kind, count in work.items())

    @property
    def step(self) -> float:
        """Seconds a step now takes: the first ones (memory, caches, compilation) count only until there are others."""
        return self.recent.get(STEP, self.recent.get(WARM_UP, 0.0))

    def predict(self, work: Mapping[str, int]) -> float:
        """`left`, remembered so that the error can be told at the end."""
        seconds = self.left(work)
        self.predictions.append((self.elapsed, seconds))
        return seconds

    def error(self) -> float | None:
        """Mean of |predicted end - real end| / real duration over the predictions made after the first tenth of the run."""
        end = self.elapsed
        errors = [abs(at + left - end) / end for at, left in self.predictions if at > 0.1 * end]
        return sum(errors) / len(errors) if errors else None

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on estimating."""
        kept = {"spent": self.spent, "counts": self.counts, "recent": self.recent, "predictions": self.predictions}
        return {**kept, "elapsed": self.elapsed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on estimating from a saved state."""
        self.spent, self.counts, self.recent = by_work(state["spent"]), by_work(state["counts"]), by_work(state["recent"])
        self.predictions = [tuple(item) for item in state["predictions"]]
        self._resumed, self._began = state["elapsed"], time.perf_counter()
