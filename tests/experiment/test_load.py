"""A run is read as it was trained: with its own config, which only resumes change, and its own tokenizer."""

import json
import shutil
from pathlib import Path

import pytest

import assay
from assay.errors import ConfigError, RunError
from assay.experiment.load import change_config, read_config, read_tokenizer
from assay.runs.directory import CHANGES, RunDirectory
from support.trained import call
from support.workshop import Workshop, make_workshop, use


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return make_workshop(tmp_path_factory.mktemp("load"))


@pytest.fixture
def run(made: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A copy of the run."""
    use(monkeypatch, made.folder)
    return RunDirectory(Path(shutil.copytree(made.run.path, tmp_path / "copy" / made.run.name)))


@pytest.mark.parametrize(("key", "value"), [("eps = ", "eps = 0.125"), ("window = ", "window = 8"), ("width = ", "width = 24")])
def test_a_config_that_was_changed_by_hand_is_refused_by_whoever_needs_it(run: RunDirectory, key: str, value: str) -> None:
    lines = (run.path / "config.toml").read_text(encoding="utf-8").splitlines()
    assert any(line.startswith(key) for line in lines), lines
    (run.path / "config.toml").write_text("\n".join(value if line.startswith(key) else line for line in lines), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.toml: was changed since the run began"):
        read_config(run)
    for command in (("score", run.path), ("sample", run.path), ("resume", run.path, "train.budget=22steps")):
        refused = call(*command)
        assert refused.code == 2
        assert "was changed since the run began" in refused.err
    assert not list((run.path / "scores").glob("validation*"))


def test_what_resumes_changed_is_no_change_by_hand(run: RunDirectory) -> None:
    for budget in ("21steps", "22steps"):
        assay.load(str(run.path)).resume(f"train.budget={budget}", "train.patience=3")
        assert read_config(run).train.budget == budget
    assert assay.load(str(run.path)).score().bits_per_byte > 0


def test_a_change_that_was_noted_and_not_made_is_none(run: RunDirectory) -> None:
    before = (run.path / "config.toml").read_bytes()
    change_config(run, 20, {"train.budget": ("20steps", "30steps"), "train.patience": (None, 4)})
    assert read_config(run).train.patience == 4
    (run.path / "config.toml").write_bytes(before)
    assert read_config(run).train.budget == "20steps"
    assert len([*run.read_lines(CHANGES)]) == 1


def test_the_tokenizer_of_another_run_is_refused_by_whoever_needs_it(made: Workshop, run: RunDirectory) -> None:
    trained = assay.train(made.recipe, "tokenizer=char", budget="1steps").path
    tree = json.loads((trained / "tokenizer.json").read_text(encoding="utf-8"))
    tree["pieces"][tree["pieces"].index("ï")] = "é"  # as long, and not in the text
    (trained / "tokenizer.json").write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(RunError, match=r"tokenizer\.json: is not the tokenizer that the run was trained with"):
        read_tokenizer(RunDirectory(trained))
    for command in (("sample", trained), ("score", trained), ("resume", trained, "train.budget=2steps")):
        refused = call(*command)
        assert refused.code == 2
        assert "is not the tokenizer that the run was trained with" in refused.err
