"""A call for a file fails while a finished run is scored, compressed with or reported: a sentence, no wrong number, nothing half stored."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from errno import EIO
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from assay.runs.directory import list_runs
from faults.injection import Command, Fault
from faults.moments import choose_moments, spread
from faults.recovery import Recovery, find_bad_words
from faults.test_one_call_fails import FAULTS


@dataclass(frozen=True, slots=True)
class Task:
    """A command on a finished run, and what it leaves that must be right: what is missing is None."""

    arguments: tuple[str, ...]
    read: Callable[[Path], Any]


def read_scores(home: Path) -> Any:
    """The stored scores of the command."""
    return list_runs(home / "runs")[0].scores_by_file().get("validation-best-step6-documents")


def read_file(name: str) -> Callable[[Path], Any]:
    """The bytes of a file."""
    return lambda home: (home / name).read_bytes() if (home / name).is_file() else None


def list_drafts(home: Path) -> list[str]:
    """Files that were begun and not finished."""
    hidden = [path for path in home.rglob(".*") if path.name != ".training.lock" and "ipynb" not in path.name]
    return [str(path.relative_to(home)) for path in hidden]


TASKS = {
    "score": Task(("score", "last", "--policy", "documents", "--json"), read_scores),
    "compress": Task(("compress", "tiny.toml", "--model", "last", "-o", "packed.bin", "--json"), read_file("packed.bin")),
    "report": Task(("report", "last", "-o", "page.html"), read_file("page.html")),
    "sample": Task(("sample", "last", "--count", "1", "--tokens", "5", "--json"), lambda home: None),
}
KINDS_OF_FAULT = ("full", "hardware", "short", "unreadable", "short-read")


def drop_places(printed: str) -> Any:
    """What a command prints, but for how fast it was, and where it is stored, which a note says where it could not be."""
    try:
        return {
            key: value for key, value in json.loads(printed).items() if key not in ("stored", "not_stored", "seconds", "tokens_per_second")
        }
    except ValueError:
        return printed


def tells_of_gap(home: Path, fault: Fault) -> bool:
    """Whether there is a report without what could not be read, and it says so."""
    page = read_file("page.html")(home)
    return fault.error == EIO and page is not None and b"input/output error" in page


def find_faults(cached: Recovery, template: Path, task: Task, fault: Fault, choose: Callable[[range], Sequence[int]]) -> Iterator[str]:
    """Run the command with a fault at these of its calls, and once more without, and tell what is not as it is undisturbed."""

    def make_home() -> Path:
        home = cached.folder / "command"
        shutil.rmtree(home, ignore_errors=True)
        return Path(shutil.copytree(template, home))

    home = make_home()
    undisturbed = cached.warm.run(Command(task.arguments, home, replace(fault, at=0)))
    assert undisturbed.code == 0, undisturbed.err
    expected, lines = task.read(home), undisturbed.out
    for at in choose(range(1, undisturbed.seen + 1)):
        home = make_home()
        ending = cached.warm.run(Command(task.arguments, home, replace(fault, at=at)))
        case = f"{replace(fault, at=at)} {'' if ending.hit is None else ending.hit[0] + ' ' + ending.hit[1].removeprefix(str(home))}"
        yield from (f"{case}: {words}" for words in find_bad_words(ending, home))
        if tells_of_gap(home, fault):
            continue
        if ending.out and drop_places(ending.out) != drop_places(lines):
            yield f"{case}: prints {ending.out[-200:]}"
        if task.read(home) not in (None, expected):
            yield f"{case}: stores something else"
        if drafts := list_drafts(home):
            yield f"{case}: leaves {drafts}"
        again = cached.warm.run(Command((*task.arguments, *(["--force"] if task.arguments[0] == "compress" else [])), home))
        if (again.code, drop_places(again.out), task.read(home)) != (0, drop_places(lines), expected):
            yield f"{case}: then once more without it: {again.code}, {again.err[-200:]}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS_OF_FAULT)
@pytest.mark.parametrize("name", TASKS)
def test_a_command_tells_of_a_call_that_fails_and_is_right_the_next_time(cached: Recovery, finished: Path, name: str, kind: str) -> None:
    choose = partial(choose_moments, count=4, name=f"{name}, {kind}")
    assert list(find_faults(cached, finished, TASKS[name], FAULTS[kind], choose)) == []


def test_a_score_is_stored_whole_or_not_at_all(cached: Recovery, finished: Path) -> None:
    assert json.loads(cached.warm.run(Command(TASKS["score"].arguments, finished)).out)["bits_per_byte"] > 0
    assert list(find_faults(cached, finished, TASKS["score"], FAULTS["full"], partial(spread, count=2, name="score"))) == []
