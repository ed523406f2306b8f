"""A run as it is seen from outside: from its files alone, whoever writes them, now or long ago. Nothing here is locked or written."""

import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.runs.directory import METRICS, STATUS, TIMINGS, RunDirectory

TAIL = 8192  # bytes: several lines of timings
FINAL = ("finished", "failed")  # states after which nothing is written any more


class Lines:
    """The lines of a .jsonl file, each read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inode = self.offset = 0

    def new(self) -> tuple[list[dict[str, Any]], bool]:
        """The lines since the last call, and whether the file was written anew, so that those read before no longer hold.

        What was cut off waits until it is whole; what is no JSON is passed over.
        """
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                anew = found.st_ino != self.inode or found.st_size < self.offset
                self.inode, self.offset = found.st_ino, 0 if anew else self.offset
                file.seek(self.offset)
                read = file.read()
        except OSError:
            return [], False
        whole = read[: read.rfind(b"\n") + 1]
        self.offset += len(whole)
        return list(_parsed(whole.splitlines())), anew


def _parsed(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


class Followed:
    """One run; `look` brings it up to date and reads only what is new."""

    def __init__(self, path: Path) -> None:
        self.run = RunDirectory(path)
        self.metrics = Lines(path / METRICS)
        self.losses: list[tuple[int, float]] = []  # step, nats per token
        self.validations: list[tuple[int, dict[str, float]]] = []
        self.recent: list[dict[str, Any]] = []  # the last lines of metrics
        self.status: dict[str, Any] = {"state": "unknown"}
        self.timing: dict[str, Any] = {}
        self._written = -1  # when the status was written, as it was last read

    def look(self) -> None:
        """Read what is new."""
        written = _modified(self.run.path / STATUS)
        if written == self._written and self.status["state"] in FINAL:
            return
        self.status, self._written = {"state": "unknown", **self.run.status()}, written
        lines, anew = self.metrics.new()
        if anew:
            self.losses, self.validations, self.recent = [], [], []
        for line in lines:
            if "validation" in line:
                self.validations.append((line["step"], line["validation"]))
            elif "loss" in line:
                self.losses.append((line["step"], line["loss"]))
        self.recent = [*self.recent, *lines][-20:]
        self.timing = last_line(self.run.path / TIMINGS) or self.timing

    @property
    def there(self) -> bool:
        """Whether the directory still is."""
        return self.run.path.is_dir()

    @property
    def step(self) -> int:
        """The last step that is known of."""
        return max(int(self.status.get("step") or 0), *(at[-1][0] for at in (self.losses, self.validations) if at), 0)

    @property
    def steps(self) -> int | None:
        """The steps of the whole run; None where they are not known."""
        return self.status.get("steps")

    @property
    def left(self) -> float | None:
        """Seconds that a running run still needs, as it last said, less what has passed since."""
        said = self.timing.get("run_left")
        written = _modified(self.run.path / TIMINGS)
        return None if said is None or written < 0 else max(0.0, said - max(0.0, time.time() - written / 1e9))

    @property
    def seconds(self) -> float | None:
        """What the run has taken so far."""
        spent = self.status.get("seconds")
        return sum(spent.values()) if spent else self.timing.get("elapsed")

    @property
    def best(self) -> tuple[float, float] | None:
        """Bits per byte of the best checkpoint and the standard error: the final score, else the best validation so far."""
        final = (self.status.get("scores") or {}).get("best")
        found = [final] if final else [figures for _, figures in self.validations]
        pairs = [(figures["bits_per_byte"], figures["standard_error"]) for figures in found]
        return min(pairs, default=None)

    def sample(self) -> str | None:
        """What the model wrote last."""
        texts = sorted((self.run.path / "samples").glob("step-*.txt"))
        try:
            return texts[-1].read_text(encoding="utf-8", errors="replace") if texts else None
        except OSError:
            return None


def last_line(path: Path) -> dict[str, Any] | None:
    """The last whole line of a .jsonl file; None where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    found = list(_parsed(lines[-2:]))
    return found[-1] if found else None


def _modified(path: Path) -> int:
    """When a file was last written, in nanoseconds; -1 where it is not."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def state(status: dict[str, Any]) -> str:
    """The state as last written, but `killed` where the process that ran it on this machine is gone."""
    if status["state"] != "running" or status.get("host") != platform.node():
        return str(status["state"])
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return "killed"
    except PermissionError:
        pass
    return "running"
