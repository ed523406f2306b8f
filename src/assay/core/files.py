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
        _name(error, path, partial)
        raise
    finally:
        with suppress(OSError):  # on a disk that cannot be written, the first error is the one that tells
            partial.unlink(missing_ok=True)


def append_text(path: Path, text: str) -> None:
    """Add text at the end of a file. An OSError names `path`."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        _name(error, path, path)
        raise


def _name(error: OSError, path: Path, written: Path) -> None:
    """Let an error tell of `path`, where it tells of the file `written` in its place, or of none as when a disk is full."""
    if error.errno is not None and error.filename in (None, str(written), written):
        error.filename, error.filename2 = str(path), None


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def hash_file(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
