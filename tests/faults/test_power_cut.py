"""A power cut: the process is gone, and of each file only what was flushed to the disk is left; what was saved goes on bit for bit.

The model keeps every rename, and cuts a file where it was last flushed, with zeros or nothing behind: no file is torn in its middle.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from faults.injection import Ending
from faults.moments import choose_moments, spread
from faults.recovery import Recovery
from faults.test_one_call_fails import COUNT, FAULTS


def cut_power(ending: Ending, *, zeros: bool) -> None:
    """Leave of each file what was flushed, then nothing or zeros, under the name it had at the end."""
    flushed: dict[str, int] = {}
    unsafe: set[str] = set()
    for kind, path, other, _ in ending.log:
        if kind == "write":
            unsafe.add(path)
        elif kind == "fsync":
            flushed[path] = int(other)
            unsafe.discard(path)
        elif kind == "rename":
            flushed = {move(name, path, other): size for name, size in flushed.items() if name != other}
            unsafe = {move(name, path, other) for name in unsafe if name != other}
        elif kind == "remove":
            unsafe.discard(path)
    for file in filter(Path.is_file, map(Path, unsafe)):
        content, safe = file.read_bytes(), flushed.get(str(file), 0)
        file.write_bytes(content[:safe] + bytes(len(content) - safe if zeros else 0))


def move(name: str, path: str, other: str) -> str:
    """The name of a file after `path`, it or a folder above it, was renamed to `other`."""
    return other + name.removeprefix(path) if name == path or name.startswith(f"{path}/") else name


def find_faults(cached: Recovery, calls: Iterable[int], *, zeros: bool) -> list[str]:
    """Cut the power at each of these calls of a run, and tell what does not hold."""
    return [
        problem for at in calls
        for problem in cached.find_faults(replace(FAULTS["killed"], at=at), lambda ending: cut_power(ending, zeros=zeros))
    ]  # fmt: skip


def test_a_run_survives_a_power_cut_at_a_moment(cached: Recovery) -> None:
    assert find_faults(cached, spread(cached.choose_calls(FAULTS["killed"]), 1, "a power cut"), zeros=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("zeros", [True, False])
def test_a_run_survives_a_power_cut_at_moments(cached: Recovery, zeros: bool) -> None:
    calls = choose_moments(cached.choose_calls(FAULTS["killed"]), COUNT, f"a power cut, {zeros}")
    assert find_faults(cached, calls, zeros=zeros) == []
