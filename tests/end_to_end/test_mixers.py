"""Each mixer is trained from the command line by naming it, and learns; so do several in one model."""

import json
from pathlib import Path

import pytest

from assay.core.config import FAMILIES
from assay.core.recipe import to_toml
from assay.runs.directory import resolve_runs_folder
from assay.runs.lookup import find_run
from support.experiment import write_recipe, write_text
from support.trained import call

KINDS = sorted(FAMILIES["mixer"].kinds)
RECURRENT = ("lstm", "mogrifier_lstm", "linear", "convolution")  # they have no queries that could be rotated, or need none
FEW_HEADS = {"differential": 1}  # of the width of 16


def small(kind: str) -> str:
    """A kind with the settings by which the property suite knows it, as one would write it on the command line."""
    leaf = FAMILIES["mixer"].kinds[kind]
    heads = {"heads": FEW_HEADS.get(kind, 2)} if "heads" in leaf.model_fields else {}
    tree = {**getattr(leaf, "tiny", {}), **heads}
    return to_toml({"kind": kind, **tree}).strip().replace("\n", ", ")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return write_recipe(tmp_path, write_text(tmp_path), "train.budget=100steps", "train.log_every=10steps")


def losses(recipe: Path, *overrides: str) -> list[float]:
    answer = call("train", recipe, *overrides, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["scores"]["best"]["coverage"] == 1
    lines = (find_run("last", resolve_runs_folder(None)).path / "metrics.jsonl").read_text().splitlines()
    return [row["loss"] for row in map(json.loads, lines) if "loss" in row]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_mixer_trains_from_the_command_line(kind: str, recipe: Path) -> None:
    position = ["model.position=none"] if kind in RECURRENT else []
    found = losses(recipe, f"model.block.mixer={{{small(kind)}}}", *position)
    assert found[-1] < found[0] - 0.3


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind, leaf in FAMILIES["mixer"].kinds.items() if leaf().build(256).bounded_state])
def test_a_mixer_of_bounded_state_trains_on_lanes(kind: str, recipe: Path) -> None:
    found = losses(recipe, f"model.block.mixer={{{small(kind)}}}", "model.position=none", "batches={kind=streams, window=16, size=4}")
    assert found[-1] < found[0] - 0.3


def test_mixers_alternate_over_the_layers(recipe: Path) -> None:
    pattern = (
        "model.pattern=[{mixer={kind=local, window=4, heads=2}}, {mixer={kind=local, window=4, heads=2}}, {mixer={kind=full, heads=2}}]"
    )
    found = losses(recipe, "model.depth=3", pattern)
    assert found[-1] < found[0] - 0.3


def test_what_a_mixer_cannot_use_in_such_rows_is_said_at_the_start(recipe: Path) -> None:
    told = call("train", recipe, "train.budget=2steps", "model.block.mixer={kind=local, heads=2, window=16}").out
    assert "unused     a window of 16 holds all of a row of 16, so this is full attention" in told
    assert "unused" not in call("train", recipe, "train.budget=2steps", "model.block.mixer={kind=local, heads=2, window=15}").out
    lanes = ("batches={kind=streams, window=16, size=4}", "model.position=none")
    assert "unused" not in call("train", recipe, "train.budget=2steps", "model.block.mixer={kind=local, heads=2, window=16}", *lanes).out
