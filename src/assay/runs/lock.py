"""Lock a run for the one process that writes it; the kernel releases the lock when that process ends, for whatever reason.

It is flock(2) on a file that is never deleted, so no stale lock has to be removed and no process number can be reused. The note in the file
outlives the lock: who trains the run; in a job's lock, how often the run was started since it last made progress.
"""

import errno
import json
import os
import platform
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from assay.core.files import name_file
from assay.errors import RunError

RUN_LOCK = ".training.lock"  # in a run's directory
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # of a file system that has none
TRIES, PAUSE = 5, 0.02  # one that only looks whether a lock is held (`is_locked`) has it for a moment
MAX_COMMAND = 200  # characters


class RunBusyError(RunError):
    """Another process trains the run."""


class Lock:
    """A lock that this process holds, or stands for where the file system has none. Leaving its `with` block releases it."""

    def __init__(self, handle: int | None = None, path: Path = Path()) -> None:
        self._handle, self._path, self.is_real = handle, path, handle is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def share(self) -> "Lock":
        """Return the same lock once more: it is held until both are released."""
        return Lock(None if self._handle is None else os.dup(self._handle), self._path)

    def release(self) -> None:
        """Release the lock; again has no effect."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def __del__(self) -> None:
        self.release()

    def read_note(self) -> dict[str, Any]:
        """Read the note in the file; empty where it was cut off. An OSError names the file."""
        handle = self._open_handle()
        with name_file(self._path):
            return _parse_note(os.pread(handle, os.fstat(handle).st_size, 0))

    def write_note(self, note: dict[str, Any]) -> None:
        """Replace the note in the file. An OSError names the file."""
        handle = self._open_handle()
        with name_file(self._path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(note).encode(), 0)

    def _open_handle(self) -> int:
        assert self._handle is not None, "the lock was released"
        return self._handle


def acquire_lock(path: Path, *, wait: bool = False) -> Lock | None:
    """Lock a file, which is made if it is missing; None where another process holds it, unless `wait`."""
    import fcntl  # noqa: PLC0415 (only where a run is trained: not every system has it)

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
    return Lock(handle, path)


def wait_for_lock(path: Path) -> Lock:
    """Take the lock on a file as soon as nobody else holds it."""
    lock = acquire_lock(path, wait=True)
    assert lock is not None
    return lock


def lock_run(run: Path, *, wait: bool = False) -> Lock:
    """Lock the directory of a run for the one that trains it, or writes over what training wrote; without effect where there are no locks.

    Raises RunBusyError, which says who trains there, unless `wait`.
    """
    path = run / RUN_LOCK
    try:
        lock = acquire_lock(path, wait=wait)
        for _ in range(TRIES):
            if lock is None:
                time.sleep(PAUSE)
                lock = acquire_lock(path)
    except ImportError:
        return Lock()
    except OSError as refused:
        if refused.errno in NO_LOCKS:
            return Lock()
        raise
    if lock is None:
        raise RunBusyError(f"{run}: is being trained by {read_holder(path)}; wait until it ends, or stop it")
    with suppress(OSError):  # on a full disk the lock holds without its note
        lock.write_note(_describe_process())
    return lock


def read_holder(path: Path) -> str:
    """Write who holds the lock on a file, by the note that it wrote."""
    note: dict[str, Any] = {}
    with suppress(OSError):
        note = _parse_note(path.read_bytes())
    if "pid" not in note:
        return "another process"
    return f"process {note['pid']} on {note.get('host', '?')} (`{note.get('command', '?')}`, since {note.get('since', '?')})"


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock now; False where that cannot be known. Needs no right to write."""
    try:
        import fcntl  # noqa: PLC0415

        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (ImportError, OSError):
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as held:
        return isinstance(held, BlockingIOError)
    finally:
        os.close(handle)
    return False


def _describe_process() -> dict[str, Any]:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:MAX_COMMAND]
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    return {"pid": os.getpid(), "host": platform.node(), "command": command, "since": since}


def _parse_note(text: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        note = json.loads(text)
        if isinstance(note, dict):
            return note
    return {}
