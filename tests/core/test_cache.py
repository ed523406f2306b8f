"""Cached folders appear whole or not at all, and are made again when damaged."""

import errno
import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

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


def test_other_failures_keep_their_name() -> None:
    def fail(folder: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, "gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        get_or_build("group", "key", fail)


def test_the_root_is_the_users_cache_folder_unless_named(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    assert cache_root() == root
    monkeypatch.delenv("ASSAY_CACHE")
    assert cache_root().name == "assay"
