"""Workers of a search: as many trials as were asked for, each once, whatever happens to whoever makes them."""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from assay.errors import AssayError, Interrupted, RunError
from assay.runs.directory import RunDirectory
from assay.searches import folder as folders
from assay.searches.folder import SearchFolder
from assay.searches.journal import JOURNAL
from assay.searches.results import read_results, write_best
from assay.searches.space import Point
from assay.searches.workers import take_next_trial
from assay.studies.planning import make_plan
from assay.variation.matching import MatchedConfig
from support.small_search import MIXERS, begun, lay_search, make, quiet, run_folders, states, trials
from support.small_study import at_home, metrics, start, wait_until
from support.trained import call

RATE: dict[str, Any] = {"optimizer.lr": {"log": [1e-4, 1e-1]}}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_search_makes_its_trials_once_and_repeats_exactly(tmp_path: Path) -> None:
    search = begun(tmp_path, sampler="tpe")
    assert make(search) == {"complete": 4}
    assert make(search) == {}
    assert states(search) == ["complete"] * 4
    assert [name[:11] for name in run_folders(search)] == ["trial-0000-", "trial-0001-", "trial-0002-", "trial-0003-"]
    again = SearchFolder.open_or_create(tmp_path / "again", search.config, search.base)
    make(again)
    assert [(trial.point, trial.value) for trial in trials(again)] == [(trial.point, trial.value) for trial in trials(search)]
    assert run_folders(again) == run_folders(search)


def test_a_run_of_a_trial_is_what_train_makes_of_its_job(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=1)
    make(search)
    (name,) = trials(search)[0].runs
    alone = call("train", search.path / "jobs" / f"{name}.toml", "--json").json
    assert metrics(search.path / name) == metrics(Path(alone["run"]))
    assert trials(search)[0].value == RunDirectory(Path(alone["run"])).status()["bits_per_byte"]


def test_more_trials_may_be_asked_for_later_but_nothing_else_may_change(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=1)
    make(search)
    first = trials(search)[0]
    more = begun(tmp_path, trials=2)
    assert make(more) == {"complete": 1}
    assert trials(more)[0] == first
    with pytest.raises(
        RunError, match=r"has trials of another search: budget, train\.budget of the base differ; only question, trials, launch"
    ):
        begun(tmp_path, trials=2, budget="9steps")


@pytest.mark.slow
def test_a_conditional_space_never_sets_a_key_of_another_kind(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=6, budget="1steps", space=MIXERS)
    make(search)
    mixers = [search.read_job(trial.runs[0]).config["model"]["block"]["mixer"] for trial in trials(search) if trial.runs]
    assert {mixer["kind"] for mixer in mixers} == {"full", "local"}
    assert all(("window" in mixer) == (mixer["kind"] == "local") for mixer in mixers)
    assert all(mixer["heads"] == 2 for mixer in mixers)  # as in the base
    assert Counter(states(search))["refused"] == 0


@pytest.mark.slow
def test_a_grid_covers_every_point_once_and_ends(tmp_path: Path) -> None:
    space = {"model.block.mixer": MIXERS["model.block.mixer"], "model.width": {"choice": [8, 16]}}
    space["model.block.mixer.window"] = {"choice": [4, 8], "when": {"model.block.mixer": "local"}}
    search = begun(tmp_path, sampler="grid", trials=None, budget="1steps", space=space)
    make(search)
    made = [trial.point for trial in trials(search) if trial.state == "complete"]
    points = search.space.grid_points()
    assert len(made) == len(points) == 6
    assert all(point in made for point in points)
    assert read_results(search).done


def test_what_cannot_be_built_is_told_and_does_not_count(tmp_path: Path) -> None:
    space = {"model.width": {"choice": [16, 17]}}  # two heads do not divide 17
    search = begun(tmp_path, sampler="grid", trials=None, budget="1steps", space=space)
    told: list[str] = []
    make(search, told.append)
    assert states(search) == ["complete", "refused"]
    assert "17" in trials(search)[1].reason
    assert any("refused" in line for line in told)
    assert any("1 proposals could not be built" in sentence for sentence in read_results(search).sentences())


def test_a_point_that_was_tried_is_not_trained_again_and_a_used_up_space_ends_the_search(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=5, budget="1steps", space={"model.width": {"choice": [8, 16]}})
    make(search)
    found = read_results(search)
    assert len(run_folders(search)) == 2
    assert found.is_exhausted
    assert found.done
    assert "the space is used up" in found.sentences()[0]


def test_a_trial_that_diverges_is_a_bad_one_and_the_search_goes_on(tmp_path: Path) -> None:
    space = {"optimizer.lr": {"choice": [1e-3, 1e30]}}
    search = begun(tmp_path, sampler="grid", trials=None, space=space)
    assert make(search) == {"complete": 1, "diverged": 1}
    assert [trial.state for trial in trials(search)] == ["complete", "pruned"]
    assert "lower the learning rate" in trials(search)[1].reason


@pytest.mark.slow
def test_failures_of_another_kind_are_kept_with_their_reason_and_three_in_a_row_end_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*anything: object) -> None:
        raise ValueError("the disk is on fire")

    search = begun(tmp_path, trials=5)
    monkeypatch.setattr("assay.trainer.train_run.write_run_files", broken)
    with pytest.raises(AssayError, match="3 trials in a row failed"):
        make(search)
    assert states(search) == ["failed"] * 3
    assert "the disk is on fire" in trials(search)[0].reason


def test_several_seeds_are_one_trial_and_its_figure_their_mean(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=1, seeds=[0, 3])
    make(search)
    (trial,) = trials(search)
    assert [name.rpartition("-")[2] for name in trial.runs] == ["s0", "s3"]
    figures = [RunDirectory(search.path / name).status()["bits_per_byte"] for name in trial.runs]
    assert figures[0] != figures[1]
    assert trial.value == pytest.approx(sum(figures) / 2, abs=1e-12)


def test_a_trial_without_a_configuration_is_given_up_and_replaced(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=1)
    search.journal.ask()  # its worker was killed before it wrote the configuration down
    assert make(search) == {"complete": 1}
    assert states(search) == ["abandoned", "complete"]


def test_a_signal_while_a_trial_is_drawn_waits_until_that_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = SearchFolder.build_proposal

    def build_and_be_stopped(search: SearchFolder, point: Point) -> MatchedConfig:
        os.kill(os.getpid(), signal.SIGTERM)
        return build(search, point)

    search = begun(tmp_path, trials=1)
    with monkeypatch.context() as patch:
        patch.setattr(SearchFolder, "build_proposal", build_and_be_stopped)
        with pytest.raises(Interrupted):
            make(search)
    assert states(search) == ["running"]
    assert make(search) == {"complete": 1}
    assert states(search) == ["complete"]


def test_a_journal_whose_last_line_was_cut_off_is_mended(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=2)
    make(search)
    journal = search.path / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "worker')
    search = begun(tmp_path, trials=3)
    assert make(search) == {"complete": 1}
    assert journal.read_bytes().startswith(whole)
    assert states(SearchFolder.read(search.path)) == ["complete"] * 3


def test_matching_on_tokens_shortens_a_run_with_larger_batches(tmp_path: Path) -> None:
    search = begun(tmp_path, sampler="grid", trials=None, space={"batches.size": {"choice": [8, 16]}})
    make(search)
    steps = [RunDirectory(search.path / trial.runs[0]).status()["steps"] for trial in trials(search)]
    assert steps == [8, 4]


@pytest.mark.slow
def test_two_workers_at_once_make_exactly_as_many_trials_as_were_asked_for(tmp_path: Path) -> None:
    path = lay_search(tmp_path, trials=6, budget="30steps")
    other = start("search", path, "--jobs", 1)
    search_path = tmp_path / "runs" / "rates"
    wait_until(lambda: (search_path / folders.SEARCH).is_file() and bool(list(search_path.glob("trial-*/status.json"))))
    make(SearchFolder.read(search_path))
    out, _ = other.communicate(timeout=60)
    search = SearchFolder.read(search_path)
    assert other.returncode == 0, out
    assert states(search) == ["complete"] * 6
    assert len(run_folders(search)) == 6
    assert len({RunDirectory(search_path / name).status()["pid"] for name in run_folders(search)}) == 2


@pytest.mark.slow
def test_kill_9_of_a_worker_loses_and_doubles_nothing(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=2, budget="200steps", space=RATE)
    worker = start("search", tmp_path / "rates.toml")

    def step() -> int:
        return max((int(RunDirectory(path.parent).status().get("step", 0)) for path in search.path.glob("trial-*/status.json")), default=0)

    wait_until(lambda: step() > 30)
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    (name,) = run_folders(search)
    assert states(search) == ["running"]
    assert read_results(search).state(trials(search)[0]) == "stopped"
    reported = dict(trials(search)[0].values)
    assert reported
    saved = step()
    second = start("search", tmp_path / "rates.toml")
    wait_until(lambda: step() > saved)
    second.send_signal(signal.SIGINT)
    out, _ = second.communicate()
    assert second.returncode == 130
    assert "stopped, and saved: 1 of 2 trials: 1 stopped, 1 not begun; go on with the same command: assay search" in out
    told: list[str] = []
    assert make(search, told.append) == {"complete": 2}
    assert told[0].endswith("is resumed, as its worker is gone")
    assert states(search) == ["complete"] * 2
    assert run_folders(search)[0] == name
    assert len(run_folders(search)) == 2
    assert reported.items() <= trials(search)[0].values.items()
    assert "from step" in (search.path / name / "log.txt").read_text()
    assert 30 < saved < 200
    alone = call("train", search.path / "jobs" / f"{name}.toml", "--json").json["run"]
    assert metrics(search.path / name) == metrics(Path(alone))


def test_a_second_worker_leaves_alone_what_the_first_one_holds(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=2)
    first = take_next_trial(search, quiet)
    second = take_next_trial(search, quiet)
    assert first is not None
    assert second is not None
    assert (first[0].number, second[0].number) == (0, 1)
    assert take_next_trial(search, quiet) is None
    first[1].release()
    again = take_next_trial(search, quiet)
    assert again is not None
    assert again[0].number == 0
    for lock in (second[1], again[1]):
        lock.release()


def test_the_best_values_are_a_recipe_and_a_study_that_confirms_them(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=3, budget="2steps", space={**MIXERS, "model.block.mixer": {"choice": [{"kind": "local", "window": 8}]}})
    make(search)
    found = read_results(search)
    write_best(found)
    best = found.ranked_trials[0]
    again = call("train", search.path / "best.toml", "--json").json
    assert RunDirectory(Path(again["run"])).provenance()["config"] == RunDirectory(search.path / best.runs[0]).provenance()["config"]
    confirming = make_plan(str(search.path / "confirm-rates.toml"), with_costs=False).arm("best").config.to_dict()
    config = search.read_job(best.runs[0]).config
    assert confirming["train"].pop("seed") != config["train"].pop("seed")
    assert confirming == config
