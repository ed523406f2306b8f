"""Two of everything at once: one wins, or both give the right result; nothing is doubled, and readers do not mind writers."""

import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import tomli_w

from assay.runs.checkpoint_ref import list_steps
from assay.runs.directory import METRICS, RunDirectory, list_runs
from faults.injection import Action, Command, Ending, Fault, WarmProcess
from faults.recovery import Recovery, find_bad_words, find_differences, read_outcome, train_command
from faults.test_study import PLAN
from support.small_search import SEARCH
from support.small_study import STUDY

DELAYS = (0.0, 0.02, 0.1, 0.3)  # seconds between the two
BUILD = """
import time
from assay.core.cache import get_or_build
def build(folder):
    for number in range(20):
        (folder / f"{number}.txt").write_text(str(number) * 1000)
        time.sleep(0.002)
for key in "abc":
    folder = get_or_build("group", key, build)
    assert sorted(int(file.stem) for file in folder.glob("*.txt")) == list(range(20))
    assert all(file.read_text() == file.stem * 1000 for file in folder.glob("*.txt"))
"""
LONG = ("train.budget=30steps", "train.save_every=1steps", "train.validate_every=2steps", "train.log_every=1steps", "train.samples=0")


def assert_right(endings: list[Ending], home: Path, winners: range = range(1, 3)) -> None:
    """Whoever does not succeed says why in a sentence."""
    words = [words for ending in endings for words in find_bad_words(ending, home)]
    assert words == []
    assert sum(ending.code == 0 for ending in endings) in winners, [ending.err for ending in endings]


def assert_whole(run: RunDirectory, expected: dict[str, object]) -> None:
    """The run is the undisturbed one, bit for bit."""
    assert list(find_differences(read_outcome(run), expected)) == []


def assert_ascending(run: RunDirectory) -> None:
    """Every step was logged once."""
    steps = [line["step"] for line in run.read_lines(METRICS) if "loss" in line]
    assert all(a < b for a, b in pairwise(steps)), steps


@pytest.mark.parametrize("delay", [0.0, *(pytest.param(delay, marks=pytest.mark.slow) for delay in DELAYS[1:])])
def test_of_two_resumes_one_trains_and_the_other_is_told_which(cached: Recovery, home: Path, delay: float) -> None:
    killed = cached.warm.run(train_command(home, Fault(("rename",), 14, Action.KILL)))
    (run,) = list_runs(home / "runs")
    assert killed.code == -9
    assert list_steps(run.checkpoints), "the run must have saved something"
    late = Fault(("rename",), 1, Action.WAIT)  # whichever has the lock holds it for longer than the other tries to take it
    resume = Command(("resume", str(run.path)), home, late)
    endings = sorted(cached.warm.run_together([resume, replace(resume, delay=delay)]), key=lambda ending: ending.code)
    assert_right(endings, home, winners=range(1, 2))
    assert re.search(r"is being trained by process \d+ on .* \(`assay resume .*`, since .*\); wait until it ends", endings[1].err)
    assert_whole(run, cached.expected)


@pytest.mark.slow
@pytest.mark.parametrize("delay", DELAYS)
def test_two_runs_of_one_name_that_begin_at_once_without_a_cache_are_two_whole_runs(cold: Recovery, tmp_path: Path, delay: float) -> None:
    home = Path(shutil.copytree(cold.template, tmp_path / "home"))
    command = train_command(home)
    endings = cold.warm.run_together([command, Command(command.arguments, home, delay=delay)])
    assert [ending.code for ending in endings] == [0, 0], [ending.err for ending in endings]
    runs = list_runs(home / "runs")
    assert len({run.name for run in runs}) == 2
    for run in runs:
        assert_whole(run, cold.expected)
    prepared = list((home / "cache" / "prepared").iterdir())
    assert len(prepared) == 1, "no draft is left behind"


def test_processes_that_build_one_cache_entry_at_once_all_get_it_whole(warm: WarmProcess, tmp_path: Path) -> None:
    endings = warm.run_together([Command((), tmp_path, program=BUILD, delay=0.003 * number) for number in range(4)])
    assert [(ending.code, ending.err) for ending in endings] == [(0, "")] * 4
    assert sorted(path.name for path in (tmp_path / "cache" / "group").iterdir()) == ["a", "b", "c"]


@pytest.mark.parametrize("split", ["validation", pytest.param("test", marks=pytest.mark.slow)])
def test_two_scores_of_one_checkpoint_are_the_same_and_each_use_of_the_test_split_is_noted(
    cached: Recovery, finished: Path, split: str
) -> None:
    (run,) = list_runs(finished / "runs")
    command = Command(("score", str(run.path), "--split", split, "--json"), finished)
    endings = cached.warm.run_together([command] * 3)
    assert [ending.code for ending in endings] == [0] * 3, [ending.err for ending in endings]
    figures = [json.loads(ending.out) for ending in endings]
    stored = json.loads(Path(figures[0]["stored"]).read_text(encoding="utf-8"))
    assert {one["bits_per_byte"] for one in figures} == {stored["bits_per_byte"]}
    assert len(run.test_uses()) == (3 if split == "test" else 0)
    assert not list((run.path / "scores").glob(".*")), "no draft is left behind"


@pytest.mark.slow
def test_readers_do_not_fail_while_a_run_saves_each_step(cached: Recovery, home: Path) -> None:
    assert cached.warm.run(train_command(home)).code == 0  # so that `last` exists from the beginning
    (run,) = list_runs(home / "runs")
    readers = [("score", str(run.path), "--checkpoint", "last", "--json"), ("runs", "--json"), ("watch", str(run.path), "--once")]
    readers.append(("report", str(run.path), "-o", "page.html"))
    writer = Command(("resume", str(run.path), *(each for each in LONG)), home)
    repeated = [Command(reader, home, delay=0.2 * times) for reader in readers for times in range(2)]
    wrote, *read = cached.warm.run_together([writer, *repeated])
    assert wrote.code == 0, wrote.err
    failed = [(ending.code, command.arguments[0], ending.err[-300:]) for ending, command in zip(read, repeated, strict=True) if ending.code]
    assert failed == []
    assert_ascending(run)


@pytest.mark.slow
@pytest.mark.parametrize("delay", DELAYS)
def test_two_workers_make_each_run_of_a_study_once(cached: Recovery, home: Path, delay: float) -> None:
    (home / "width.toml").write_text(tomli_w.dumps({**STUDY, "report_on": "test", "base": str(home / "tiny.toml")}), encoding="utf-8")
    planned = cached.warm.run(Command((), home, program=PLAN))
    assert planned.code == 0, planned.err
    (study,) = [path.parent for path in (home / "runs").glob("*/plan.json")]
    work = ("study", "work", str(study))
    endings = cached.warm.run_together([Command(work, home), Command(work, home, delay=delay)])
    assert [ending.code for ending in endings] == [0, 0], [ending.err for ending in endings]
    runs = list_runs(study)
    assert [run.status()["state"] for run in runs] == ["finished"] * 2
    assert [len(run.test_uses()) for run in runs] == [1, 1]
    for run in runs:
        assert_ascending(run)


@pytest.mark.slow
def test_two_study_runs_at_once_make_one_study(cached: Recovery, home: Path) -> None:
    (home / "width.toml").write_text(tomli_w.dumps({**STUDY, "base": str(home / "tiny.toml")}), encoding="utf-8")
    endings = cached.warm.run_together([Command(("study", "run", str(home / "width.toml"), "--jobs", "1"), home)] * 2)
    assert [ending.code for ending in endings] == [0, 0], [ending.err for ending in endings]
    (study,) = [path.parent for path in (home / "runs").glob("*/plan.json")]
    assert [run.status()["state"] for run in list_runs(study)] == ["finished"] * 2
    for run in list_runs(study):
        assert_ascending(run)


SEARCHED = """
from pathlib import Path
from assay.searches.file import SearchConfig
from assay.searches.folder import SearchFolder
from assay.searches.workers import run_worker
config = SearchConfig.load(Path("rates.toml"))
search = SearchFolder.open_or_create(Path("runs/rates").resolve(), config, config.load_base())
run_worker(search.path, Path("data").resolve(), print)
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", DELAYS)
def test_two_workers_make_each_trial_of_a_search_once(cached: Recovery, home: Path, delay: float) -> None:
    (home / "rates.toml").write_text(tomli_w.dumps({**SEARCH, "base": str(home / "tiny.toml")}), encoding="utf-8")
    endings = cached.warm.run_together([Command((), home, program=SEARCHED), Command((), home, program=SEARCHED, delay=delay)])
    assert [ending.code for ending in endings] == [0, 0], [ending.err for ending in endings]
    runs = list_runs(home / "runs" / "rates")
    assert [run.status()["state"] for run in runs] == ["finished"] * 4
    for run in runs:
        assert_ascending(run)
    assert len({(run.path / "config.toml").read_text(encoding="utf-8") for run in runs}) == 4
