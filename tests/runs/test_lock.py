"""Locks: one holder, freed by the kernel."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from assay.runs.lock import Lock, acquire_lock, is_locked

HOLDER = """
import sys, time
from pathlib import Path
from assay.runs.lock import acquire_lock
lock = acquire_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def held(path: Path) -> Lock:
    """The lock, which nobody else holds."""
    lock = acquire_lock(path)
    assert lock is not None
    return lock


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a.lock"
    lock = held(path)
    assert acquire_lock(path) is None
    assert is_locked(path)
    lock.release()
    assert not is_locked(path)
    with held(path):
        assert is_locked(path)
    assert not is_locked(path)


def test_asking_whether_a_lock_is_held_makes_no_file(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "a.lock")
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_process_that_was_killed_is_free_at_once_and_its_note_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with held(path) as lock:
        lock.write_note({"died": 2})
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert acquire_lock(path) is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with held(path) as lock:
        assert lock.read_note() == {"died": 2}


def test_a_note_that_was_cut_off_is_no_note(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_text('{"died": ')
    with held(path) as lock:
        assert lock.read_note() == {}
        lock.write_note({"died": 1})
        lock.write_note({})
        assert lock.read_note() == {}
