"""Write files atomically, so that a reader sees the old one or the new one, append to them, and hash them."""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BLOCK = 8192  # bytes that are read at once in search of a line's end


@contextmanager
def name_file(path: Path) -> Iterator[None]:
    """Let an OSError inside name `path` where it names no file, as when a disk fails in the middle of reading or writing."""
    try:
        yield
    except OSError as error:
        raise _with_path(error, path, path) from None


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give a file beside `path` to write into; it replaces `path` when all went well, and is removed otherwise. An OSError names `path`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _with_path(error, path, partial) from None
    finally:
        with suppress(OSError):  # on a disk that cannot be written, only the first error explains
            partial.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Add a line at the end of a file, whole or not at all, in turn with other processes. An OSError names `path`.

    A line that was cut off when a process died, or the power, is dropped: nobody could read what is written behind it.
    """
    content = f"{line}\n".encode()
    with name_file(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle)
            end = _find_end(handle)
            try:
                written = os.pwrite(handle, content, end)
                if written < len(content):
                    written += os.pwrite(handle, content[written:], end + written)  # says why, where a disk is full
            except OSError:
                os.ftruncate(handle, end)
                raise
            os.ftruncate(handle, end + written)
        finally:
            os.close(handle)


def _lock(handle: int) -> None:
    """Wait for the lock on an open file, where there are locks; closing the file releases it."""
    with suppress(ImportError, OSError):
        import fcntl  # noqa: PLC0415 (not every system has it)

        fcntl.flock(handle, fcntl.LOCK_EX)


def _find_end(handle: int) -> int:
    """Find where the last whole line of an open file ends."""
    end = os.fstat(handle).st_size
    while end:
        start = max(0, end - BLOCK)
        newline = _read_range(handle, start, end).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _read_range(handle: int, start: int, end: int) -> bytes:
    """Read these bytes of an open file, which the system may hand over in pieces."""
    content = b""
    while start + len(content) < end and (piece := os.pread(handle, end - start - len(content), start + len(content))):
        content += piece
    return content


def _with_path(error: OSError, path: Path, written: Path) -> OSError:
    """Make an error that names `path` of one that names the file `written` in its place, or none, as when a disk is full."""
    if error.errno is None:  # of a library, which says no more than its message
        return error if str(path) in str(error) else OSError(f"{path}: {error}")
    if error.filename not in (None, str(written), written):
        return error
    return OSError(error.errno, error.strerror, str(path))  # Python chooses the class by the number


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with write_atomically(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")  # names of files need not be text


def readable_name(path: Path) -> str:
    """Return the last part of a path as text, with bytes that are no UTF-8 spelled out."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


@contextmanager
def utf8_path(file: Path) -> Iterator[Path]:
    """Give a path to a file for a library that takes names in UTF-8 only: the file's own, else that of its open descriptor."""
    try:
        os.fsencode(file).decode("utf-8")
    except UnicodeDecodeError:
        with file.open("rb") as opened:
            yield Path(f"/dev/fd/{opened.fileno()}")
    else:
        yield file


def write_durably(path: Path, text: str) -> None:
    """Write a text file atomically, so that it is there after a power cut too: for what nothing else could give back."""
    with write_atomically(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        flush(partial)
    flush(path.parent)


def flush(path: Path) -> None:
    """Wait until what was written to a file, or the names in a folder, are on the disk. An OSError names `path`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with name_file(path):
            os.fsync(handle)
    finally:
        os.close(handle)


def find_write_problem(path: Path, *, makes_folders: bool = False) -> str | None:
    """Say why no file can be written at `path`, before the work whose result it is to hold; None where nothing speaks against it."""
    if path.is_dir():
        return f"{path}: is a folder; give the name of a file in it"
    there = next(parent for parent in path.absolute().parents if parent.exists())
    folder = there if makes_folders or not there.is_dir() else path.parent
    if not folder.is_dir():
        return f"{folder}: is a file; name another place" if folder.exists() else f"{folder}: is no folder; make it, or name another place"
    if not os.access(path if path.exists() else folder, os.W_OK):
        return f"{path}: may not be written; change the permissions, or name another place"
    return None


def encode_json(value: Any, **options: Any) -> str:
    """Write a value as JSON, which knows neither NaN nor infinities: they become null."""
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_drop_non_finite(value), allow_nan=False, **options)


def _drop_non_finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _drop_non_finite(child) for key, child in value.items()}
    return [_drop_non_finite(child) for child in value] if isinstance(value, list | tuple) else value


def hash_file(path: Path) -> str:
    """Compute the sha256 of a file. An OSError names it."""
    with name_file(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
