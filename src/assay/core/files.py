"""Write files atomically, so that a reader sees the old one or the new one, append to them, and hash them."""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


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
        partial.write_text(text, encoding="utf-8")


def find_write_problem(path: Path, *, makes_folders: bool = False) -> str | None:
    """Say why no file can be written at `path`, before the work whose result it is to hold; None where nothing speaks against it."""
    if path.is_dir():
        return f"{path}: is a folder; give the name of a file in it"
    folder = next(parent for parent in path.absolute().parents if parent.exists()) if makes_folders else path.parent
    if not folder.is_dir():
        return f"{folder}: is no folder; make it, or name another place"
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
    """Compute the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
