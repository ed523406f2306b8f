"""Files written whole, so that a reader sees the old one or the new one, and their hashes."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write into; it takes its place when all went well, and is gone otherwise. An OSError names `path`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _named(error, path, partial) from None
    finally:
        with suppress(OSError):  # on a disk that cannot be written, the first error is the one that tells
            partial.unlink(missing_ok=True)


def append_text(path: Path, text: str) -> None:
    """Add text at the end of a file. An OSError names `path`."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _named(error, path, path) from None


def _named(error: OSError, path: Path, written: Path) -> OSError:
    """The error of `path`, where one tells of the file `written` in its place, or of none as when a disk is full; else the same."""
    if error.errno is None or error.filename not in (None, str(written), written):
        return error
    return OSError(error.errno, error.strerror, str(path))  # Python chooses the class by the number


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def hash_file(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
