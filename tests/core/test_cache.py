"""Cached folders appear whole or not at all, and are made again when damaged."""

import errno
import multiprocessing
import os
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from assay.core import cache
from assay.core.cache import cache_root, get_or_build, get_or_compute, is_cached, is_intact
from assay.errors import DataError


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builder:
    """Writes one file and counts how often it was asked to."""

    calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "numbers").write_bytes(b"12345")


def test_a_folder_is_built_once(root: Path) -> None:
    build = Builder()
    first, second = get_or_build("group", "key", build), get_or_build("group", "key", build)
    assert build.calls == 1
    assert first == second == root / "group" / "key"
    assert (first / "numbers").read_bytes() == b"12345"


def test_another_key_is_another_folder() -> None:
    build = Builder()
    assert get_or_build("group", "one", build) != get_or_build("group", "two", build)
    assert build.calls == 2


def test_a_value_is_computed_once() -> None:
    values = iter([{"a": 1}, {"a": 2}])
    assert not is_cached("group", "key")
    assert get_or_compute("group", "key", lambda: next(values)) == {"a": 1}
    assert is_cached("group", "key")
    assert get_or_compute("group", "key", lambda: next(values)) == {"a": 1}
    assert get_or_compute("group", "other", lambda: next(values)) == {"a": 2}


def truncate(folder: Path) -> None:
    (folder / "numbers").write_bytes(b"123")


def remove(folder: Path) -> None:
    (folder / "numbers").unlink()


def scribble(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


@pytest.mark.parametrize("damage", [truncate, remove, scribble])
def test_a_damaged_folder_is_built_again(damage: object) -> None:
    assert callable(damage)
    build = Builder()
    folder = get_or_build("group", "key", build)
    damage(folder)
    assert not is_intact(folder)
    assert get_or_build("group", "key", build) == folder
    assert build.calls == 2
    assert (folder / "numbers").read_bytes() == b"12345"
    assert [place.name for place in folder.parent.iterdir()] == ["key"]


def test_a_build_that_fails_leaves_nothing(root: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"1")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        get_or_build("group", "key", fail)
    assert list((root / "group").iterdir()) == []


def use(both: Barrier, results: "multiprocessing.SimpleQueue[str]") -> None:
    def build(folder: Path) -> None:
        (folder / "process").write_text(str(os.getpid()))
        both.wait(60)  # until the other process is building, too

    results.put((get_or_build("group", "key", build) / "process").read_text())


def test_two_processes_at_once_use_the_same_folder(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both, results = context.Barrier(2), context.SimpleQueue()
    processes = [context.Process(target=use, args=(both, results)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert results.get() == results.get() == (root / "group" / "key" / "process").read_text()
    assert [place.name for place in (root / "group").iterdir()] == ["key"]


@pytest.mark.parametrize(("number", "cause"), [(errno.ENOSPC, "no room left"), (errno.EROFS, "may not be written")])
def test_a_cache_that_cannot_be_written_is_named_with_the_remedy(root: Path, number: int, cause: str) -> None:
    def fail(folder: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(DataError, match=f"{cause}.*ASSAY_CACHE=DIR") as refused:
        get_or_build("group", "key", fail)
    assert str(root) in str(refused.value)


def test_a_disk_that_fails_while_a_folder_is_built_is_named(root: Path) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output error") as raised:
        get_or_build("group", "key", fail)
    assert raised.value.filename == str(root / "group" / "key")


def test_other_failures_keep_their_name() -> None:
    def fail(folder: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, "gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        get_or_build("group", "key", fail)


def test_the_root_is_the_users_cache_folder_unless_named(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    assert cache_root() == root
    monkeypatch.delenv("ASSAY_CACHE")
    assert cache_root().name == "assay"


def flip(folder: Path) -> None:
    (folder / "numbers").write_bytes(b"12346")


def add(folder: Path) -> None:
    (folder / "others").write_bytes(b"1")


def keep_sizes(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"numbers": 5}')  # as earlier versions wrote it


@pytest.mark.parametrize("damage", [flip, add, keep_sizes])
def test_bytes_of_another_content_and_files_that_were_not_built_are_damage(damage: object) -> None:
    assert callable(damage)
    build = Builder()
    folder = get_or_build("group", "key", build)
    damage(folder)
    assert (get_or_build("group", "key", build) / "numbers").read_bytes() == b"12345"
    assert sorted(file.name for file in folder.iterdir()) == ["manifest.json", "numbers"]
    assert build.calls == 2


@pytest.mark.parametrize("settled", [0, 10**12], ids=["long ago", "just now"])
def test_a_change_after_the_check_is_seen_in_the_same_process(settled: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SETTLED", settled)
    build = Builder()
    folder = get_or_build("group", "key", build)
    assert is_intact(folder)
    kept = (folder / "numbers").stat()
    time.sleep(0.02)  # more than a tick of the clock of files
    flip(folder)
    os.utime(folder / "numbers", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert not is_intact(folder)


def test_an_old_folder_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = get_or_build("group", "key", Builder())
    monkeypatch.setattr(cache, "SETTLED", 0)
    time.sleep(0.001)
    assert is_intact(folder)
    monkeypatch.setattr(cache, "hash_file", None)
    assert is_intact(folder)
