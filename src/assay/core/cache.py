"""Cache folders that are built once, appear whole or not at all, and are built again when they are damaged.

The manifest of a folder holds the sha256 of every file in it. What is read was hashed in this process, and is hashed again when the size
or a time of a file changes.
"""

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from assay.core.files import hash_file, name_file
from assay.errors import DataError

MANIFEST, VALUE = "manifest.json", "value.json"
FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
SETTLED = 10**8  # nanoseconds: a file that changed less long ago may change again without another time, so it is not trusted by its times

Stamps = dict[str, tuple[int, int, int, int]]  # by the names of files: what changes when a file does
_verified: dict[Path, Stamps] = {}  # folders that were hashed in this process and found intact


def cache_root() -> Path:
    """Return the folder of all caches: that of ASSAY_CACHE, else the user's cache folder."""
    named = os.environ.get("ASSAY_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("assay"))


def get_or_build(group: str, key: str, build: Callable[[Path], None]) -> Path:
    """Get the folder `group/key` of the cache; `build(folder)` fills it unless it is there and intact.

    It is built beside its place and renamed into it; where another process was first, its folder is used. Raises DataError when the
    disk is full or the cache may not be written.
    """
    folder = cache_root() / group / key
    if is_intact(folder):
        return folder
    draft = folder.with_name(f".{key}.{uuid.uuid4().hex}")
    try:
        with name_file(folder):
            draft.mkdir(parents=True)
            build(draft)
            hashes = {file.name: hash_file(file) for file in draft.iterdir()}
            (draft / MANIFEST).write_text(json.dumps(hashes), encoding="utf-8")
            _publish(draft, folder)
    except OSError as error:
        if error.errno not in (*FULL, *CLOSED):
            raise
        cause = "has no room left" if error.errno in FULL else "may not be written"
        raise DataError(f"the cache folder {cache_root()} {cause}; free some space, or name another folder with ASSAY_CACHE=DIR") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def get_or_compute(group: str, key: str, compute: Callable[[], Any]) -> Any:
    """Get the JSON value `group/key` of the cache; `compute()` gives it unless it is there."""

    def build(folder: Path) -> None:
        (folder / VALUE).write_text(json.dumps(compute()), encoding="utf-8")

    file = get_or_build(group, key, build) / VALUE
    with name_file(file):
        return json.loads(file.read_text(encoding="utf-8"))


def is_cached(group: str, key: str) -> bool:
    """Whether the cache has `group/key`."""
    return is_intact(cache_root() / group / key)


def is_intact(folder: Path) -> bool:
    """Whether a cached folder holds the files that it was built with, each with the sha256 of its manifest, and no others.

    It is hashed once a process, and again when a file has changed by its size or times. A folder of an earlier version, whose manifest
    holds no hashes, is not intact.
    """
    try:
        stamps = _read_stamps(folder)
        if _verified.get(folder) == stamps:
            return True
        hashes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(hashes, dict) or {*hashes, MANIFEST} != {*stamps}:
            return False
        if any(hash_file(folder / name) != sha256 for name, sha256 in hashes.items()):
            return False
    except (OSError, ValueError):
        return False
    if time.time_ns() - max(changed for *_, changed in stamps.values()) > SETTLED:
        _verified[folder] = stamps
    return True


def _read_stamps(folder: Path) -> Stamps:
    """Read the inode, size and times of every file."""
    states = {file.name: file.stat() for file in folder.iterdir()}
    return {name: (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for name, state in states.items()}


def _publish(draft: Path, folder: Path) -> None:
    """Rename a finished draft into its place, in which there may be an intact folder, a damaged one or none."""
    while True:
        try:
            draft.rename(folder)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        if is_intact(folder):
            return
        damaged = folder.with_name(f".damaged.{uuid.uuid4().hex}")
        try:
            folder.rename(damaged)
        except FileNotFoundError:
            continue  # another process set it aside
        shutil.rmtree(damaged, ignore_errors=True)
