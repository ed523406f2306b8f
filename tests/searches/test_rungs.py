"""Rungs: trials are judged after as many tokens, whatever their batch, and those that stop are kept."""

from pathlib import Path
from typing import Any

import pytest

from assay.runs.directory import RunDirectory
from assay.searches.results import read_results
from assay.searches.workers import take_next_trial
from support.small_search import begun, make, quiet, states, trials
from support.small_study import at_home, metrics

TOKENS = 16 * 8  # of a step of the base
ASHA = {"kind": "asha", "min_tokens": 4 * TOKENS, "reduction": 2}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def searched(folder: Path, **changes: Any) -> Any:
    """A grid of a good and a bad learning rate, with rungs, made to its end."""
    space = {"optimizer.lr": {"choice": [1e-2, 1e-5]}}
    search = begun(folder, **{"sampler": "grid", "trials": None, "budget": "20steps", "space": space, "pruner": ASHA, **changes})
    make(search)
    return search


def test_a_bad_trial_ends_at_its_first_rung_and_its_checkpoint_is_kept(tmp_path: Path) -> None:
    search = searched(tmp_path)
    assert states(search) == ["complete", "pruned"]
    good, bad = trials(search)
    assert [tokens for tokens in good.values if tokens in (512, 1024, 2048)] == [512, 1024, 2048]
    assert set(bad.values) == {512}
    status = RunDirectory(search.path / bad.runs[0]).status()
    assert (status["state"], status["step"], status["error"]) == ("pruned", 4, None)
    assert (search.path / bad.runs[0] / "checkpoints" / "step-00000004").is_dir()
    assert "pruned at 512 tokens" in bad.reason
    assert read_results(search).ranked_trials[0].number == 0


@pytest.mark.slow
def test_rungs_are_counted_in_tokens_so_that_a_larger_batch_is_judged_after_fewer_steps(tmp_path: Path) -> None:
    space = {"batches.size": {"choice": [8, 16]}, "optimizer.lr": {"choice": [1e-2, 1e-5]}}
    search = searched(tmp_path, space=space)
    stopped = {
        trial.point["batches.size"]: RunDirectory(search.path / trial.runs[0]).status()["step"]
        for trial in trials(search)
        if trial.state == "pruned"
    }
    assert stopped == {8: 4, 16: 2}
    assert all(512 in trial.values for trial in trials(search))


@pytest.mark.slow
def test_rungs_disturb_nothing(tmp_path: Path) -> None:
    search = searched(tmp_path)
    plain = begun(tmp_path / "plain", sampler="grid", trials=None, budget="20steps", space=search.config.space)
    make(plain)
    first = trials(search)[0].runs[0]
    assert metrics(search.path / first) == metrics(plain.path / first)


def test_a_trial_whose_worker_died_after_the_judgement_is_not_judged_again(tmp_path: Path) -> None:
    search = begun(tmp_path, trials=1, budget="20steps", pruner=ASHA)
    taken = take_next_trial(search, quiet)
    assert taken is not None
    trial, lock = taken
    search.journal.report(trial.number, 512, 5.0)
    search.journal.add_notes(trial.number, stopped="pruned at 512 tokens with 5.0000 bits per byte")
    lock.release()
    (search.path / trial.runs[0]).mkdir()
    assert make(search) == {"pruned": 1}
    (told,) = trials(search)
    assert (told.state, told.value, told.reason) == ("pruned", 5.0, "pruned at 512 tokens with 5.0000 bits per byte")


def test_a_figure_that_training_does_not_validate_is_scored_at_rungs_and_more_of_it_is_better(tmp_path: Path) -> None:
    search = searched(tmp_path, metric="top1_accuracy")
    good, bad = trials(search)
    assert (good.state, bad.state) == ("complete", "pruned")
    assert set(good.values) == {512, 1024, 2048}
    assert good.values[512] > bad.values[512]
    assert 0 < good.value < 1
