"""Monitor a run from outside, by reading its files: the process that writes them is not needed, and nothing is locked or written."""

import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from assay.runs.directory import LINE_SHAPES, METRICS, STATUS, TIMINGS, RunDirectory
from assay.runs.json_files import parse_object

TAIL = 8192  # bytes: several lines of timings
FINAL_STATES = ("finished", "failed")  # states after which nothing is written any more


class NewLines(NamedTuple):
    """Lines that were added to a file."""

    lines: list[dict[str, Any]]
    rewritten: bool  # the file was written anew, so that the lines read before no longer hold


class JsonlReader:
    """Reads a .jsonl file while it grows, each line once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inode = self.offset = 0

    def read_new(self) -> NewLines:
        """Read the lines since the last call. A last line is read when it is whole; damaged lines are skipped."""
        try:
            if not self.path.is_file():  # a pipe would be waited for
                return NewLines([], False)
            with self.path.open("rb") as file:
                info = os.fstat(file.fileno())
                rewritten = info.st_ino != self.inode or info.st_size < self.offset
                self.inode, self.offset = info.st_ino, 0 if rewritten else self.offset
                file.seek(self.offset)
                read = file.read()
        except OSError:
            return NewLines([], False)
        whole = read[: read.rfind(b"\n") + 1]
        self.offset += len(whole)
        return NewLines(_parse_lines(whole.split(b"\n")[:-1], self.path.name), rewritten)


def _parse_lines(lines: list[bytes], file: str) -> list[dict[str, Any]]:
    parsed = []
    for line in lines:
        with suppress(ValueError):
            parsed.append(parse_object(line, LINE_SHAPES[file]))
    return parsed


class RunMonitor:
    """What is known of one run; `refresh` reads what is new."""

    def __init__(self, path: Path) -> None:
        self.run = RunDirectory(path)
        self.metrics = JsonlReader(path / METRICS)
        self.losses: list[tuple[int, float]] = []  # step, nats per token
        self.validations: list[tuple[int, dict[str, float]]] = []
        self.recent_lines: list[dict[str, Any]] = []  # the last lines of metrics
        self.status: dict[str, Any] = {"state": "unknown"}
        self.timing: dict[str, Any] = {}
        self._written = -1  # when the status was written, as it was last read

    def refresh(self) -> None:
        """Read what is new."""
        written = _modified(self.run.path / STATUS)
        if written == self._written and self.status["state"] in FINAL_STATES:
            return
        self.status, self._written = {"state": "unknown", **self.run.status()}, written
        lines, rewritten = self.metrics.read_new()
        if rewritten:
            self.losses, self.validations, self.recent_lines = [], [], []
        for line in lines:
            if line.get("validation", {}).get("nats_per_token") is not None and line["validation"]["bits_per_byte"] is not None:
                self.validations.append((line["step"], line["validation"]))
            elif line.get("loss") is not None:
                self.losses.append((line["step"], line["loss"]))
        self.recent_lines = [*self.recent_lines, *lines][-20:]
        self.timing = read_last_line(self.run.path / TIMINGS) or self.timing

    @property
    def exists(self) -> bool:
        """Whether the directory still exists."""
        return self.run.path.is_dir()

    @property
    def step(self) -> int:
        """The last step that was reported."""
        return max(int(self.status.get("step") or 0), *(at[-1][0] for at in (self.losses, self.validations) if at), 0)

    @property
    def steps(self) -> int | None:
        """The steps of the whole run; None where they are not known."""
        return self.status.get("steps")

    @property
    def seconds_left(self) -> float | None:
        """Seconds that a run still needs, as it last estimated, less the time since."""
        seconds = self.timing.get("run_left")
        written = _modified(self.run.path / TIMINGS)
        return None if seconds is None or written < 0 else max(0.0, seconds - max(0.0, time.time() - written / 1e9))

    @property
    def elapsed_seconds(self) -> float | None:
        """Seconds that the run has taken so far."""
        spent = self.status.get("seconds")
        return sum(spent.values()) if spent else self.timing.get("elapsed")

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The figures of the best checkpoint, `bits_per_byte` among them: the final score, else the best validation so far."""
        final = (self.status.get("scores") or {}).get("best")
        scores = [final] if final else [validation for _, validation in self.validations]
        return min(scores, key=lambda score: score["bits_per_byte"], default=None)

    def read_last_sample(self) -> str | None:
        """Read the last sample of the model; None where there is none."""
        texts = sorted((self.run.path / "samples").glob("step-*.txt"))
        try:
            return texts[-1].read_text(encoding="utf-8", errors="replace") if texts else None
        except OSError:
            return None


def read_last_line(path: Path) -> dict[str, Any] | None:
    """Read the last whole line of a .jsonl file; None where there is none."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    parsed = _parse_lines(lines[-2:], path.name)
    return parsed[-1] if parsed else None


def _modified(path: Path) -> int:
    """Return when a file was last written, in nanoseconds; -1 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def current_state(status: dict[str, Any]) -> str:
    """Return the state in the status, but `killed` where the process of a run on this machine is gone."""
    if status["state"] != "running" or status.get("host") != platform.node():
        return str(status["state"])
    try:
        os.kill(int(status.get("pid") or 0), 0)
    except (ProcessLookupError, OverflowError):
        return "killed"
    except PermissionError:
        pass
    return "running"
