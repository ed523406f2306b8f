"""A run is read as it was trained: with its own config, which only resumes change, its own tokenizer, and its text as it was read then."""

import json
import shutil
from pathlib import Path

import pytest

import assay
from assay.core.config import digest
from assay.core.renames import restore
from assay.errors import ConfigError, DataError, RunError
from assay.experiment.load import change_config, read_config, read_tokenizer
from assay.runs.directory import CHANGES, RunDirectory
from support.experiment import LINES, write_recipe
from support.trained import call
from support.workshop import Workshop, make_workshop, use

TEXTS = {
    "table.csv": "".join(f"{number},{line}\n" for number, line in enumerate(LINES)),
    "lines.txt": "".join(json.dumps({"text": line}) + "\n" for line in LINES),
}


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


def make_earlier_run(folder: Path, text: Path) -> assay.Run:
    """A run as it was stored before 0.8: its config has no format, and it has not noted when it was begun."""
    run = assay.train(write_recipe(folder, text, "corpus.format=text"), budget="4steps", runs_dir=folder / "runs")
    config, provenance = run.path / "config.toml", run.path / "provenance.json"
    config.write_text(config.read_text().replace('format = "text"\n', ""))
    noted = json.loads(provenance.read_text())
    del noted["begun"]
    noted["config"] = digest(restore(run.directory.config_tree()))
    provenance.write_text(json.dumps(noted))
    return run


@pytest.mark.parametrize("name", TEXTS)
def test_a_run_of_an_earlier_version_reads_its_lines_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    text = tmp_path / name
    text.write_text(TEXTS[name])
    with pytest.raises(DataError):
        assay.train(write_recipe(tmp_path, text), budget="4steps", runs_dir=tmp_path / "runs")
    run = make_earlier_run(tmp_path, text)
    assert run.score().bits_per_byte == run.status.metrics["bits_per_byte"]
    assert run.resume("train.budget=6steps").status.step == 6


def test_a_run_of_today_is_read_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    text = tmp_path / "lines.txt"
    text.write_text("\n".join(LINES))
    run = assay.train(write_recipe(tmp_path, text), budget="1steps", runs_dir=tmp_path / "runs")
    assert read_config(run.directory).corpus.to_dict().get("format") is None
    asked, made = (json.loads((run.path / "provenance.json").read_text())["data"]["vocabulary"][key] for key in ("asked", "made"))
    assert (asked, made) == (None, 257)


def test_the_tokens_asked_for_and_made_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    text = tmp_path / "lines.txt"
    text.write_text("\n".join(LINES))
    recipe = write_recipe(tmp_path, text, "tokenizer={kind=bpe, vocabulary=5000}")
    run = assay.train(recipe, budget="1steps", runs_dir=tmp_path / "runs")
    assert run.directory.provenance()["data"]["vocabulary"] == {"made": run.tokenizer.vocab_size, "asked": 5000}
    assert run.tokenizer.vocab_size < 5000
