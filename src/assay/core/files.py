"""Write files atomically, so that a reader sees the old one or the new one, append to them, and hash them."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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


def append_text(path: Path, text: str) -> None:
    """Add text at the end of a file. An OSError names `path`."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _with_path(error, path, path) from None


def _with_path(error: OSError, path: Path, written: Path) -> OSError:
    """Make an error that names `path` of one that names the file `written` in its place, or none, as when a disk is full."""
    if error.errno is None or error.filename not in (None, str(written), written):
        return error
    return OSError(error.errno, error.strerror, str(path))  # Python chooses the class by the number


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with write_atomically(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files need not be text


def hash_file(path: Path) -> str:
    """Compute the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
