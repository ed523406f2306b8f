"""A text in the place of a recipe is given a split that works and, where it is short, a short training."""

from pathlib import Path

import pytest

import assay
from assay.core import recipe
from assay.data.text_lookup import look_up_text
from assay.experiment.config import ExperimentConfig
from assay.experiment.own_text import SHORT, describe_choice, name_text
from assay.experiment.summary import summarize

WORDS = ["In", "the", "beginning", "God", "created", "the", "heaven", "and", "the", "earth"]


def lay_text(folder: Path, lines: int, repeats: int = 1) -> str:
    file = folder / "mine.txt"
    file.write_text("\n".join(" ".join([*WORDS[i % 10 :], str(i)]) for i in range(lines) for _ in range(repeats)))
    return str(file)


@pytest.mark.parametrize(("lines", "kind"), [(1, "contiguous"), (20, "contiguous"), (2000, "hash")])
def test_a_text_of_any_length_has_a_validation_part(tmp_path: Path, lines: int, kind: str) -> None:
    config = ExperimentConfig.load(lay_text(tmp_path, lines))
    corpus = config.corpus.load(None)
    assert config.split.to_dict()["kind"] == kind
    assert all(config.split.apply(corpus.documents, corpus.separator).byte_counts().values())


@pytest.mark.parametrize("lines", [100, 130, 170])
def test_a_split_by_hash_that_misses_its_shares_is_not_taken(tmp_path: Path, lines: int) -> None:
    config = ExperimentConfig.load(lay_text(tmp_path, lines))
    corpus = config.corpus.load(None)
    assert config.split.apply(corpus.documents, corpus.separator).warnings == ()


def test_overrides_win_over_what_is_chosen(tmp_path: Path) -> None:
    text = lay_text(tmp_path, 20)
    config = ExperimentConfig.load(text, ["split=shuffle", "train.budget=2steps", {"train": {"patience": 1}}, "split.validation=0.2"])
    assert (config.split.to_dict()["kind"], config.split.validation) == ("shuffle", 0.2)
    assert (config.train.budget, config.train.patience) == ("2steps", 1)


def test_all_but_text_split_and_length_is_the_recipe_s(tmp_path: Path) -> None:
    mine, bible = ExperimentConfig.load(lay_text(tmp_path, 20), [], "tiny"), ExperimentConfig.load("bible", [], "tiny")
    assert mine.replace(corpus=bible.corpus, split=bible.split, schedule=bible.schedule, train=bible.train) == bible
    assert mine.train.budget == "20epochs"


def test_a_long_text_is_trained_as_long_as_the_recipe_says(tmp_path: Path) -> None:
    text = lay_text(tmp_path, SHORT // 20)
    assert Path(text).stat().st_size > SHORT
    config, bible = ExperimentConfig.load(text), ExperimentConfig.load("bible")
    assert (config.train, config.schedule) == (bible.train, bible.schedule)


def test_a_folder_of_texts_and_a_file_in_the_data_folder_are_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_text(tmp_path, 20)
    assert ExperimentConfig.load(str(tmp_path)).corpus.to_dict()["path"] == str(tmp_path)
    assert ExperimentConfig.load("mine.txt", data_dir=tmp_path).corpus.to_dict()["path"] == "mine.txt"


def test_show_and_data_take_the_same_text(tmp_path: Path) -> None:
    text = lay_text(tmp_path, 20)
    assert summarize(text, [], None).config == ExperimentConfig.load(text).to_dict()
    assert look_up_text(text, [], None).settings.split == ExperimentConfig.load(text).split


@pytest.mark.parametrize(
    ("path", "name"), [("a/my text.txt", "my-text"), ("mine.jsonl.xz", "mine"), ("b/texts/", "texts"), ("..txt", "text"), ("ö.md", "ö")]
)
def test_runs_have_the_name_of_the_text(path: str, name: str) -> None:
    assert name_text(path) == name


def test_what_was_chosen_is_said_with_how_to_change_it(tmp_path: Path) -> None:
    said = describe_choice("my text.txt", ExperimentConfig.load(lay_text(tmp_path, 20)))
    assert "those of the recipe bible" in said
    assert "split=contiguous and train.budget=20epochs" in said
    assert said.endswith("assay show 'my text.txt' --toml")


def test_a_text_is_trained_from_python(tmp_path: Path) -> None:
    small = ["tokenizer=byte", "batches.window=16", "batches.size=4", "train.precision=float32", "train.samples=0"]
    run = assay.train(lay_text(tmp_path, 20), *small, scale="tiny", budget="2steps", runs_dir=tmp_path / "runs")
    assert run.status.step == 2
    assert run.name.startswith("mine-tiny-")


def test_text_endings_are_no_recipes() -> None:
    assert recipe.is_text("missing.txt")
    assert not any(recipe.is_text(name) for name in ("bible", "mine.toml", "gpt2", "train.py", "sweep.yaml"))
