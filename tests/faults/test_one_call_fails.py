"""One call for a file fails, or all from one on, at every moment of a run: going on gives the undisturbed run, and nothing false is stored.

A case is named by its calls, the number of the one that fails, and how. It runs alone with

    FAULT=create+write+mkdir-193-onwards-ENOSPC pytest tests/faults -k named
"""

import os
from dataclasses import replace
from errno import EDQUOT, EFBIG, EIO, ENOSPC, EROFS
from pathlib import Path

import pytest

from faults.injection import CHANGES, Action, Fault
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
SAMPLED = ("full", "hardware", "killed")  # of these, some cases at every `make test`
EVERY = 61  # calls between two of them: no divisor of the calls of a step, so that the moments differ


@pytest.mark.parametrize("name", SAMPLED)
def test_some_moments(cached: Recovery, name: str) -> None:
    fault = FAULTS[name]
    assert cached.find_faults_at(fault, cached.choose_calls(fault)[11 * SAMPLED.index(name) :: EVERY]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_every_moment_of_a_run(cached: Recovery, name: str) -> None:
    fault = FAULTS[name]
    assert cached.find_faults_at(fault, cached.choose_calls(fault)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "hardware", "killed", "unreadable"])
def test_every_moment_while_the_text_is_prepared(cold: Recovery, cached: Recovery, name: str) -> None:
    fault = FAULTS[name]
    preparing = len(cold.list_calls(fault)) - len(cached.list_calls(fault)) + 20  # the first of the run as well
    assert cold.find_faults_at(fault, [at for at in cold.choose_calls(fault) if at <= preparing]) == []


def test_one_named_moment(cached: Recovery, cold: Recovery) -> None:
    name = os.environ.get("FAULT")
    if not name:
        pytest.skip("FAULT names no case")
    assert [*cached.find_faults(Fault.parse(name)), *cold.find_faults(Fault.parse(name))] == []


def test_where_a_checkpoint_finds_the_disk_full_the_sentence_names_it_and_not_what_failed_after_it(cached: Recovery, home: Path) -> None:
    first = next(n for n, call in enumerate(cached.list_calls(FAULTS["full"]), 1) if "/checkpoints/" in call[1])
    ending = cached.warm.run(train_command(home, replace(FAULTS["full"], at=first)))
    assert "checkpoints/step-00000002: cannot be written because the disk is full; make room" in ending.err
