"""A mirror of a run: it may be slow, be lost or fail, and the run does not notice."""

from abc import ABC, abstractmethod
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from time import monotonic
from typing import Any

from assay.tracking.base import Tracker

ROOM = 1000  # calls that may wait: hours of a run that writes a line every ten seconds


class Copy(Tracker, ABC):
    """A tracker that keeps a copy of the run for some other program. All but `where` is called in a thread of the mirror."""

    patience: float  # seconds that a run may wait for it at its end
    late: str  # what it means if it is not done by then

    @abstractmethod
    def where(self, folder: Path) -> str:
        """How a person sees the copy, in one line."""


class Mirror:
    """Calls a tracker in a thread of its own, in order. Nothing here blocks or raises; what has no room is dropped and counted."""

    def __init__(self, name: str, copy: Copy) -> None:
        self.name, self.copy = name, copy
        self.waiting: Queue[tuple[str, tuple[Any, ...]] | None] = Queue(ROOM)
        self.dropped = 0
        self.failed: Exception | None = None
        self.told = False  # that it failed
        self.thread = Thread(target=self._work, name=f"mirror-{name}", daemon=True)

    def tell(self, method: str, *arguments: Any) -> None:
        """Hand over one call of the tracker."""
        if not self.thread.is_alive() and self.failed is None:
            self.thread.start()
        try:
            self.waiting.put_nowait((method, arguments))
        except Full:
            self.dropped += self.failed is None

    def news(self) -> list[str]:
        """That the mirror was switched off, once."""
        if self.failed is None or self.told:
            return []
        self.told = True
        return [f"{self.name} is switched off for the rest of this run: {self.failed or type(self.failed).__name__}"]

    def end(self) -> list[str]:
        """Let the tracker end, as long as its patience allows; what a person should know of the copy."""
        deadline = monotonic() + self.copy.patience
        try:
            self.waiting.put(None, timeout=self.copy.patience)
            self.thread.join(max(0.0, deadline - monotonic()))
        except (Full, RuntimeError):  # a thread that is stuck, or one that never began
            pass
        notes = self.news()
        if self.thread.is_alive():
            notes.append(f"{self.name} is not done {self.copy.patience:g} seconds after the run; {self.copy.late}")
        if self.dropped:
            notes.append(f"{self.name} was too slow and lacks {self.dropped} lines; the run directory has them")
        return notes

    def _work(self) -> None:
        """Until the end is told: one call after the other. After a failure calls are taken and not made."""
        while (call := self.waiting.get()) is not None:
            self._make(*call)
        self._make("end", ())

    def _make(self, method: str, arguments: tuple[Any, ...]) -> None:
        if self.failed is not None:
            return
        try:
            getattr(self.copy, method)(*arguments)
        except Exception as failed:  # whatever a foreign library raises
            self.failed = failed
