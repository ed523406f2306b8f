"""`assay search`: what a person types, sees, and gets wrong."""

import sys
from pathlib import Path

import pytest

from assay.core.install import write_assay_line
from support.small_search import lay_search
from support.small_study import at_home
from support.trained import call

SWEEP = """
method: grid
metric: {name: val_loss, goal: minimize}
program: train.py
early_terminate: {type: hyperband, min_iter: 1}
parameters:
  optimizer.lr: {values: [1e-2, 1e-3]}
  train.budget: {value: 8steps}
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def test_a_search_is_made_shown_and_gone_on_with(tmp_path: Path) -> None:
    path = lay_search(tmp_path, question="Which rate?")
    made = call("search", path)
    assert made.code == 0, made.err
    for said in (
        "Which rate?",
        "4 trials by random",
        "4 of 4 trials: 4 complete",
        "bits per byte",
        "too good",
        "optuna-dashboard",
        "best.toml",
    ):
        assert said in made.out
    shown = call("search", tmp_path / "runs" / "rates")
    assert shown.code == 0
    assert shown.out.strip() in made.out
    more = call("search", path, "--trials", 5, "--json").json
    assert (more["count"], more["done"], len(more["trials"])) == (5, True, 5)
    assert call("search", "rates", "--json").json["best"] == more["best"]


@pytest.mark.slow
def test_two_workers_in_a_pool_make_as_many_trials_as_were_asked_for(tmp_path: Path) -> None:
    path = lay_search(tmp_path, trials=4, budget="16steps")
    made = call("search", path, "--jobs", 2)
    assert made.code == 0, made.err
    assert "4 of 4 trials: 4 complete" in made.out
    assert len(list((tmp_path / "runs" / "rates").glob("trial-*"))) == 4


@pytest.mark.slow
def test_a_sweep_of_wandb_is_translated_printed_and_made(tmp_path: Path) -> None:
    lay_search(tmp_path)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    printed = call("search", tmp_path / "sweep.yaml", "--base", "tiny.toml", "--toml")
    assert printed.code == 0, printed.err
    assert printed.out.startswith("# ignored keys, which have no meaning here: program\n")
    (tmp_path / "translated.toml").write_text(printed.out)
    made = call("search", tmp_path / "translated.toml", "--json").json
    assert [trial["settings"]["optimizer.lr"] for trial in made["trials"]] == [1e-2, 1e-3]
    assert made["metric"] == "nats_per_token"
    direct = call("search", tmp_path / "sweep.yaml", "--base", "tiny.toml", "--json").json
    assert [trial["value"] for trial in direct["trials"]] == [trial["value"] for trial in made["trials"]]


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"optimizer.lrr": {"log": [1e-4, 1e-1]}}, "space.\"optimizer.lrr\": unknown key; did you mean 'lr'?"),
        ({"model.block.mixer": {"choice": ["full", "locl"]}}, "space.\"model.block.mixer\": unknown kind 'locl'; did you mean 'local'?"),
        ({"train.clip": {"uniform": [-1.0, 3.0]}}, 'space."train.clip": input should be greater than or equal to 0'),
        (
            {"model.block.mixer": {"choice": ["full", "local"]}, "model.block.mixer.window": {"int": [4, 8]}},
            'with "model.block.mixer" = "full" there is no such key: say with `when` which values have it',
        ),
    ],
)
def test_a_key_that_no_trial_could_set_is_refused_before_anything_runs(tmp_path: Path, space: dict[str, object], said: str) -> None:
    answer = call("search", lay_search(tmp_path, space=space))
    assert answer.code == 2
    assert said in answer.err
    assert not (tmp_path / "runs" / "rates").exists()


def test_what_a_person_gets_wrong_is_one_sentence(tmp_path: Path) -> None:
    path = lay_search(tmp_path)
    (tmp_path / "sweep.yaml").write_text(SWEEP.replace("grid", "random"))
    (tmp_path / "late.toml").write_text(path.read_text() + '\n[pruner]\nkind = "asha"\nmin_tokens = 5000\n')
    cases = {
        ("nowhere.toml",): "no search file nowhere.toml",
        ("rates",): "neither a search file nor a search's folder",
        (path, "--base", "bible"): "base: is for a W&B sweep",
        (path, "--toml"): "--toml: is for a W&B sweep in YAML",
        (path, "--launch", "hours=2"): "--launch hours=2: says what a job asks of a cluster",
        (tmp_path / "sweep.yaml",): "base: is missing",
        (tmp_path / "sweep.yaml", "--base", "tiny.toml"): "trials: is missing",
        (tmp_path / "late.toml",): "pruner.min_tokens: 5,000 is no less than the 980 tokens of the whole budget",
    }
    for arguments, said in cases.items():
        answer = call("search", *arguments)
        assert answer.code == 2, answer.out
        assert said in answer.err
        assert answer.err.count("\n") == 1
    call("search", path, "--trials", 1)
    answer = call("search", "rates", "--trials", 9)
    assert (answer.code, "goes with a search's file" in answer.err) == (2, True)


def test_a_missing_library_is_named_with_the_line_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = call("search", lay_search(tmp_path))
    assert (answer.code, answer.err) == (2, f"assay: error: a search needs Optuna; install it with: {write_assay_line('search')}\n")
