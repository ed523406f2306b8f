"""Combine the tracker that people read with external ones, each in a thread of its own."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from time import monotonic
from typing import Any

from assay.errors import Interrupted, UserError, explain_failure, suggest
from assay.runs.directory import LOG, NOTES, RunDirectory
from assay.terminal.streams import describe_loss, lost_output
from assay.tracking.base import ExternalTracker, FurtherScore, Pace, Tracker
from assay.tracking.tensorboard import TensorBoard
from assay.tracking.text_log import TextLog
from assay.tracking.wandb import WeightsAndBiases

TRACK_VARIABLE = "ASSAY_TRACK"  # names of external trackers for every run, with commas between them
QUEUE_SIZE = 1000  # calls that may wait: hours of a run that writes a line every ten seconds
EXTERNAL_TRACKERS: dict[str, Callable[[], ExternalTracker]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def combine_trackers(main: Tracker, names: Iterable[str] = (), *, logs: bool = True) -> Tracker:
    """Combine `main` with the external trackers in `names` and in ASSAY_TRACK, and with the log in the run's directory if `logs`.

    Raises UserError for an unknown or a missing one.
    """
    if not isinstance(names, Iterable):
        raise UserError(f"track: {names!r} is no list of names; write track=[...]")
    always = [name.strip() for name in os.environ.get(TRACK_VARIABLE, "").split(",")]
    chosen = dict.fromkeys([*names, *filter(None, always)])
    for name in chosen:
        if name not in EXTERNAL_TRACKERS:
            raise UserError(f"track: nothing is called '{name}'; {suggest(str(name), EXTERNAL_TRACKERS)}")
    return CombinedTracker(main, [BackgroundTracker(name, EXTERNAL_TRACKERS[name]()) for name in chosen], TextLog() if logs else Tracker())


class CombinedTracker(Tracker):
    """Calls the main tracker and the log in the run's directory, and external ones in the background, whose messages those two log.

    None of them can end a run. One that raises is dropped; that, and output that can no longer be written, is noted once in the run.
    """

    def __init__(self, main: Tracker, external: Sequence["BackgroundTracker"] = (), log: Tracker | None = None) -> None:
        self.main, self.external = main, external
        self.log = log or Tracker()
        self.folder: Path | None = None  # of the run, once it is known
        self.noted: set[str] = set()  # what was lost
        self.unwritten: list[str] = []  # notes that no folder has yet

    @contextmanager
    def show_busy(self, text: str) -> Iterator[None]:
        busy: AbstractContextManager[object] = nullcontext()

        def show(main: Tracker) -> None:
            nonlocal busy
            shown = main.show_busy(text)
            shown.__enter__()
            busy = shown

        self._call_main(show)
        try:
            yield
        finally:
            self._call_main(lambda _: busy.__exit__(None, None, None))

    def start(self, title: str, description: Mapping[str, str]) -> None:
        self._call_shown(lambda tracker: tracker.start(title, description))

    def open_directory(self, folder: Path, step: int) -> None:
        self.folder = folder
        for background in self.external:
            self.log_message(background.tracker.describe_location(folder))
        self._call(lambda tracker: tracker.open_directory(folder, step))

    def log_metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        self._call(lambda tracker: tracker.log_metrics(line, pace))

    def log_validation(self, line: Mapping[str, Any], best: bool) -> None:
        self._call(lambda tracker: tracker.log_validation(line, best))

    def log_further_score(self, line: Mapping[str, Any], name: FurtherScore) -> None:
        self._call(lambda tracker: tracker.log_further_score(line, name))

    def log_samples(self, step: int, texts: Sequence[str]) -> None:
        self._call(lambda tracker: tracker.log_samples(step, texts))

    def log_final_scores(self, step: int, results: Mapping[str, Any]) -> None:
        self._call(lambda tracker: tracker.log_final_scores(step, results))

    def log_message(self, text: str) -> None:
        self._call_shown(lambda tracker: tracker.log_message(text))

    def log_early_end(self, step: int, reason: str) -> None:
        self._call(lambda tracker: tracker.log_early_end(step, reason))

    def close(self) -> None:
        self._call_shown(lambda tracker: tracker.close())
        for background in self.external:
            self._log_messages(background.close())

    def _call(self, call: Callable[[Tracker], None]) -> None:
        self._call_shown(call)
        for background in self.external:
            background.call(call)
            self._log_messages(background.take_failure_messages())

    def _log_messages(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.log_message(text)

    def _call_shown(self, call: Callable[[Tracker], object]) -> None:
        """Call the trackers for people: the log, then the main one. A log that cannot be written is given up. Raises Interrupted alone."""
        try:
            call(self.log)
        except Interrupted:
            raise
        except Exception as failed:  # a disk that is full, a folder that is gone
            self.log = Tracker()
            self._note("log", f"{LOG} cannot be written ({explain_failure(failed)}), and the run goes on without it")
        self._call_main(call)

    def _call_main(self, call: Callable[[Tracker], object]) -> None:
        """Call the main tracker; where it raises, it is replaced by one that shows nothing. Raises Interrupted alone."""
        try:
            call(self.main)
        except Interrupted:  # of a signal that arrived meanwhile
            raise
        except Exception as failed:  # any: whatever a terminal, an encoding or a tracker of the caller's own may come to
            self.main = Tracker()
            reason = " ".join(f"{type(failed).__name__}: {failed}".split())
            text = f"what showed the run failed ({reason}), and the run goes on without it"
            self._note("tracker", text)
            with suppress(OSError, ValueError):  # nobody may see it
                print(f"assay: {text}", file=sys.stderr)  # noqa: T201
        for name, error in lost_output().items():
            self._note(name, describe_loss(name, error))
        self._write_notes()

    def _note(self, what: str, text: str) -> None:
        """Keep a note, the first on each thing that was lost."""
        if what not in self.noted:
            self.noted.add(what)
            self.unwritten.append(text)

    def _write_notes(self) -> None:
        """Write the notes into the run's directory, once that is known."""
        if self.folder is not None and self.unwritten:
            with suppress(OSError):
                for note in self.unwritten:
                    RunDirectory(self.folder).append_line(NOTES, {"time": datetime.now(UTC).isoformat(timespec="seconds"), "note": note})
            self.unwritten = []


class BackgroundTracker:
    """Calls a tracker in a thread of its own, in order; never blocks or raises, and drops calls if there are too many."""

    def __init__(self, name: str, tracker: ExternalTracker) -> None:
        self.name, self.tracker = name, tracker
        self.queue: Queue[Callable[[Tracker], None] | None] = Queue(QUEUE_SIZE)  # None ends the thread
        self.dropped = 0
        self.failed: Exception | None = None
        self.failure_reported = False
        self.thread = Thread(target=self._work, name=f"tracker-{name}", daemon=True)

    def call(self, call: Callable[[Tracker], None]) -> None:
        """Queue one call of the tracker."""
        if self.failed is not None:
            return
        if not self.thread.is_alive():
            self.thread.start()
        try:
            self.queue.put_nowait(call)
        except Full:
            self.dropped += 1

    def take_failure_messages(self) -> list[str]:
        """Return, once, that the tracker failed and was switched off."""
        if self.failed is None or self.failure_reported:
            return []
        self.failure_reported = True
        return [f"{self.name} is switched off for the rest of this run: {self.failed or type(self.failed).__name__}"]

    def close(self) -> list[str]:
        """Wait for the tracker to end, at most `close_timeout` seconds; return what people should know of its copy."""
        deadline = monotonic() + self.tracker.close_timeout
        if self.thread.is_alive():
            with suppress(Full):  # of a thread that is stuck
                self.queue.put(None, timeout=self.tracker.close_timeout)
                self.thread.join(max(0.0, deadline - monotonic()))
        messages = self.take_failure_messages()
        if self.thread.is_alive():
            messages.append(f"{self.name} is not done {self.tracker.close_timeout:g} seconds after the run; {self.tracker.timeout_message}")
        if self.dropped:
            messages.append(f"{self.name} was too slow and lacks {self.dropped} lines; the run directory has them")
        return messages

    def _work(self) -> None:
        """Make the calls, one after the other, until the end or the first failure."""
        try:
            while (call := self.queue.get()) is not None:
                call(self.tracker)
            self.tracker.close()
        except Exception as failed:  # any exception of a foreign library
            self.failed = failed
