"""Keep what the console says of a run in its directory, as plain text, whether or not anybody sees the console."""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from assay.core.files import append_line
from assay.runs.directory import LOG
from assay.tracking.base import FurtherScore, Pace, Tracker
from assay.tracking.console import ConsoleTracker

WIDTH = 200  # columns of the table of final scores at most; other lines are never broken


class TextLog(Tracker):
    """Writes the lines of the console into `log.txt`, each when it is said; what is said before there is a directory waits for it.

    A resume appends, behind a line with its time. Raises OSError where the file cannot be written.
    """

    def __init__(self) -> None:
        self.said = io.StringIO()
        self.lines = ConsoleTracker(
            Console(file=self.said, width=WIDTH, color_system=None, highlight=False, emoji=False, force_terminal=False)
        )
        self.folder: Path | None = None

    def start(self, title: str, description: Mapping[str, str]) -> None:
        self.lines.start(title, description)

    def open_directory(self, folder: Path, step: int) -> None:
        self.folder = folder
        before = self._take()
        self._append(f"{datetime.now(UTC).isoformat(timespec='seconds')}, step {step}\n{before}")

    def log_metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        self.lines.log_metrics(line, pace)
        self.flush()

    def log_validation(self, line: Mapping[str, Any], best: bool) -> None:
        self.lines.log_validation(line, best)
        self.flush()

    def log_further_score(self, line: Mapping[str, Any], name: FurtherScore) -> None:
        self.lines.log_further_score(line, name)
        self.flush()

    def log_samples(self, step: int, texts: Sequence[str]) -> None:
        self.lines.log_samples(step, texts)
        self.flush()

    def log_final_scores(self, step: int, results: Mapping[str, Any]) -> None:
        self.lines.log_final_scores(step, results)
        self.flush()

    def log_message(self, text: str) -> None:
        self.lines.log_message(text)
        self.flush()

    def log_early_end(self, step: int, reason: str) -> None:
        self.lines.log_message(f"ended after step {step}: {reason}")
        self.flush()

    def flush(self) -> None:
        """Append what was said to the file, once there is a directory."""
        if self.folder is not None:
            self._append(self._take())

    def _take(self) -> str:
        said = self.said.getvalue()
        self.said.seek(0)
        self.said.truncate()
        return said

    def _append(self, text: str) -> None:
        assert self.folder is not None
        if text:
            append_line(self.folder / LOG, text.rstrip("\n").encode("utf-8", "backslashreplace").decode())
