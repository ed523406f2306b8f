"""Cache folders that are built once, appear whole or not at all, and are built again when they are damaged."""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from assay.errors import DataError

MANIFEST, VALUE = "manifest.json", "value.json"
FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


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
        draft.mkdir(parents=True)
        build(draft)
        sizes = {file.name: file.stat().st_size for file in draft.iterdir()}
        (draft / MANIFEST).write_text(json.dumps(sizes), encoding="utf-8")
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

    return json.loads((get_or_build(group, key, build) / VALUE).read_text(encoding="utf-8"))


def is_cached(group: str, key: str) -> bool:
    """Whether the cache has `group/key`."""
    return is_intact(cache_root() / group / key)


def is_intact(folder: Path) -> bool:
    """Whether every file of a cached folder is there with the size it was written with."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


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
