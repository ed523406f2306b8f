"""Lock a run for the one process that trains it; the kernel releases the lock when that process ends, for whatever reason.

It is flock(2) on a file that is never deleted, so no stale lock has to be removed and no process number can be reused. The note in the file
outlives the lock: how often the run was started since it last made progress.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from assay.errors import RunError

RUN_LOCK = ".training.lock"  # in a run's directory


class Lock:
    """A lock that this process holds. Leaving its `with` block releases it."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def release(self) -> None:
        """Release the lock; again has no effect."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def __del__(self) -> None:
        self.release()

    def read_note(self) -> dict[str, Any]:
        """Read the note in the file; empty where it was cut off."""
        handle = self._open_handle()
        with suppress(ValueError):
            note = json.loads(os.pread(handle, os.fstat(handle).st_size, 0))
            if isinstance(note, dict):
                return note
        return {}

    def write_note(self, note: dict[str, Any]) -> None:
        """Replace the note in the file."""
        handle = self._open_handle()
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(note).encode(), 0)

    def _open_handle(self) -> int:
        assert self._handle is not None, "the lock was released"
        return self._handle


def acquire_lock(path: Path, *, wait: bool = False) -> Lock | None:
    """Lock a file, which is made if it is missing; None where another process holds it, unless `wait`."""
    import fcntl  # noqa: PLC0415 (only where a study runs: not every system has it)

    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)  # not passed on to programs that this process starts
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return Lock(handle)


def wait_for_lock(path: Path) -> Lock:
    """Take the lock on a file as soon as nobody else holds it."""
    lock = acquire_lock(path, wait=True)
    assert lock is not None
    return lock


def lock_run(path: Path, holder: str) -> Lock | None:
    """Lock the directory of a run for training; None where the system or the file system has no locks.

    Raises RunError, which names the `holder`, where another process trains there.
    """
    try:
        lock = acquire_lock(path / RUN_LOCK)
    except (ImportError, OSError):
        return None
    if lock is None:
        raise RunError(f"{path}: is being trained by {holder}; wait until it ends, or stop it")
    return lock


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock now."""
    if not path.is_file():
        return False
    lock = acquire_lock(path)
    if lock is None:
        return True
    lock.release()
    return False
