"""A run reads its text as it was read when the run was trained, whatever names and contents say since."""

import json
from pathlib import Path

import pytest

import assay
from assay.errors import DataError
from assay.experiment.load import read_config
from support.experiment import LINES, write_recipe

TEXTS = {
    "table.csv": "".join(f"{number},{line}\n" for number, line in enumerate(LINES)),
    "lines.txt": "".join(json.dumps({"text": line}) + "\n" for line in LINES),
}


def make_earlier_run(folder: Path, text: Path) -> assay.Run:
    """A run as it was stored before 0.8: its config has no format, and it has not noted when it was begun."""
    run = assay.train(write_recipe(folder, text, "corpus.format=text"), budget="4steps", runs_dir=folder / "runs")
    config, provenance = run.path / "config.toml", run.path / "provenance.json"
    config.write_text(config.read_text().replace('format = "text"\n', ""))
    noted = json.loads(provenance.read_text())
    del noted["started_at"], noted["config"]
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
