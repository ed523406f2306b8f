"""One call for a file fails, or all from one on, at any moment of a run: going on gives the undisturbed run, and nothing false is stored.

Of the moments some are tried, with every kind of fault; all of them, in an hour or two, with

    FAULTS=all pytest tests/faults -m "slow or not slow"

A case is named by its calls, the number of the one that fails, and how. It runs alone with

    FAULT=create+write+mkdir-193-onwards-ENOSPC pytest tests/faults -k named
"""

import os
from dataclasses import replace
from errno import EDQUOT, EFBIG, EIO, ENOSPC, EROFS
from pathlib import Path

import pytest

from faults.injection import CHANGES, Action, Fault
from faults.moments import choose_moments, spread
from faults.recovery import Recovery, train_command

ROOM = ("create", "write", "mkdir")  # the calls that need room on a disk
FAULTS = {
    "full": Fault(ROOM, action=Action.ONWARDS, error=ENOSPC),
    "over-quota": Fault(ROOM, action=Action.ONWARDS, error=EDQUOT),
    "too-large": Fault(("write",), action=Action.ONWARDS, error=EFBIG),
    "read-only": Fault(CHANGES, action=Action.ONWARDS, error=EROFS),
    "hardware": Fault(CHANGES, error=EIO),
    "short": Fault(("write",), action=Action.SHORT),
    "killed": Fault(CHANGES, action=Action.KILL),
    "unreadable": Fault(("open", "read"), error=EIO),
    "short-read": Fault(("read",), action=Action.SHORT),
}
SAMPLED = ("full", "hardware", "killed")  # of these, a case at every `make test`
COUNT = 18  # of moments, of each kind, in `make test-all`


@pytest.mark.parametrize("name", SAMPLED)
def test_one_moment(cached: Recovery, name: str) -> None:
    fault = FAULTS[name]
    assert cached.find_faults_at(fault, spread(cached.choose_calls(fault), 1, f"one of {name}")) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_moments_of_a_run(cached: Recovery, name: str) -> None:
    fault = FAULTS[name]
    assert cached.find_faults_at(fault, choose_moments(cached.choose_calls(fault), COUNT, name)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "hardware", "killed", "unreadable"])
def test_moments_while_the_text_is_prepared(cold: Recovery, cached: Recovery, name: str) -> None:
    fault = FAULTS[name]
    preparing = len(cold.list_calls(fault)) - len(cached.list_calls(fault)) + 20  # the first of the run as well
    calls = [at for at in cold.choose_calls(fault) if at <= preparing]
    assert cold.find_faults_at(fault, choose_moments(calls, COUNT // 3, name)) == []


def test_one_named_moment(cached: Recovery, cold: Recovery) -> None:
    name = os.environ.get("FAULT")
    if not name:
        pytest.skip("FAULT names no case")
    assert [*cached.find_faults(Fault.parse(name)), *cold.find_faults(Fault.parse(name))] == []


def test_where_a_checkpoint_finds_the_disk_full_the_sentence_names_it_and_not_what_failed_after_it(cached: Recovery, home: Path) -> None:
    first = next(n for n, call in enumerate(cached.list_calls(FAULTS["full"]), 1) if "/checkpoints/" in call[1])
    ending = cached.warm.run(train_command(home, replace(FAULTS["full"], at=first)))
    assert "checkpoints/step-00000002: cannot be written because the disk is full; make room" in ending.err
