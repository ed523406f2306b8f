"""What follows a run while it happens. The run directory is the record; trackers are mirrors of it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run goes and how long it will take."""

    step: int
    steps: int | None  # None while a budget in minutes is still being measured
    epoch: float
    tokens_per_second: float
    epoch_left: float | None  # seconds
    run_left: float | None  # seconds


class Tracker:
    """Receives everything that is written to a run directory. This one heeds nothing; others override what they heed."""

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Around work that takes a while before the run begins, with what it is."""
        return nullcontext()

    def begin(self, title: str, facts: Mapping[str, str]) -> None:
        """The run is about to start."""

    def opened(self, folder: Path, step: int) -> None:
        """The run's directory, complete but for what will be computed, and the step that the run goes on from: 0 for a new one."""

    def metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        """A line of metrics.jsonl."""

    def validation(self, line: Mapping[str, Any], best: bool) -> None:
        """A validation was scored."""

    def sample(self, step: int, texts: Sequence[str]) -> None:
        """The model wrote something."""

    def scores(self, step: int, figures: Mapping[str, Any]) -> None:
        """The run is finished: the figures that its status now holds."""

    def note(self, text: str) -> None:
        """Something that a person should know."""

    def end(self) -> None:
        """The run has ended, however it did."""
