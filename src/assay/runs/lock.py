"""Who makes a run: a lock that the kernel gives back as soon as its holder is gone, however that happened.

It is flock(2) on a file that is never deleted, so there is nothing stale to clean up and no process number that may have been reused. What
is written in the file outlives the lock: how often the run was begun since it last got further.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from assay.errors import RunError

RUN = ".training.lock"  # in a run's directory


class Lock:
    """A lock that is held. Leaving its `with` block gives it back."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def release(self) -> None:
        """Give it back; once is enough."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def __del__(self) -> None:
        self.release()

    def note(self) -> dict[str, Any]:
        """What was last written in the file; nothing where that was cut off."""
        handle = self._held()
        with suppress(ValueError):
            found = json.loads(os.pread(handle, os.fstat(handle).st_size, 0))
            if isinstance(found, dict):
                return found
        return {}

    def write(self, note: dict[str, Any]) -> None:
        """Replace what is written in the file."""
        handle = self._held()
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(note).encode(), 0)

    def _held(self) -> int:
        assert self._handle is not None, "the lock was given back"
        return self._handle


def take(path: Path, *, wait: bool = False) -> Lock | None:
    """The lock on a file, which is made if it is not there; None where somebody else holds it, unless `wait`."""
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


def hold_run(path: Path, who: str) -> Lock | None:
    """The lock of whoever trains in a run's directory; None where the system or the file system knows no locks.

    Raises RunError, with `who` holds it, where somebody else trains there.
    """
    try:
        lock = take(path / RUN)
    except (ImportError, OSError):
        return None
    if lock is None:
        raise RunError(f"{path}: is being trained by {who}; wait until it ends, or stop it")
    return lock


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock at this moment."""
    if not path.is_file():
        return False
    lock = take(path)
    if lock is None:
        return True
    lock.release()
    return False
