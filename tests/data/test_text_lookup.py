"""What a word means: a recipe, a corpus, a file; and the split where nothing says one."""

from pathlib import Path

import pytest

from assay.data.text_lookup import default_split, look_up_text
from assay.errors import ConfigError, DataError, UserError
from assay.text.corpus import Corpus


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "long.txt").write_text("".join(f"{number}\n" for number in range(200)))
    (tmp_path / "plain").write_text("a\nb\n")
    (tmp_path / "mine.toml").write_text(
        '[corpus]\nkind = "text"\npath = "long.txt"\n[split]\nkind = "shuffle"\n[tokenizer]\nkind = "byte"\n'
    )


def test_a_recipe_says_everything_and_can_be_changed() -> None:
    choice = look_up_text("mine.toml", ["split.validation=0.2", "tokenizer=char"], None)
    assert choice.settings.split.to_dict() | {"test": 0} == {"kind": "shuffle", "validation": 0.2, "test": 0, "seed": 1337}
    assert choice.settings.tokenizer.to_dict()["kind"] == "char"
    assert (len(choice.corpus.documents), choice.origin) == (200, "recipe mine.toml")


def test_a_corpus_is_split_as_its_recipe_says() -> None:
    choice = look_up_text("bible", [], None)
    assert choice.origin == "recipe bible"
    assert choice.settings.tokenizer.to_dict() == {"kind": "bpe", "vocabulary": 2048}
    assert choice.corpus.name == "bible"


@pytest.mark.parametrize(("file", "kind"), [("long.txt", "hash"), ("short.txt", "contiguous"), ("plain", "contiguous")])
def test_a_file_is_split_by_content_unless_it_has_few_documents(file: str, kind: str) -> None:
    choice = look_up_text(file, [], None)
    assert (choice.settings.split.to_dict()["kind"], choice.origin) == (kind, f"file {file}")
    assert look_up_text(file, ["split=shuffle"], None).settings.split.to_dict()["kind"] == "shuffle"
    assert len(look_up_text(file, ["corpus.document=file"], None).corpus.documents) == 1


def test_a_contiguous_text_is_cut_at_the_very_byte() -> None:
    corpus = Corpus("x", [b"a"] * 500, None, "", "", separator=b"")
    assert default_split(corpus) == {"kind": "contiguous", "exact": True}


def test_what_is_wrong_is_said_with_the_nearest_word() -> None:
    with pytest.raises(UserError, match="'bibel' is neither a recipe, nor a corpus, nor a file here; did you mean 'bible'"):
        look_up_text("bibel", [], None)
    with pytest.raises(DataError, match=r"missing\.txt"):
        look_up_text("missing.txt", [], None)
    with pytest.raises(ConfigError, match=r"split\.validatoin"):
        look_up_text("long.txt", ["split.validatoin=0.1"], None)
    with pytest.raises(ConfigError, match="model: unknown key"):
        look_up_text("mine.toml", ["model.width=8"], None)
    with pytest.raises(UserError, match=r"scale: 'long\.txt' is no recipe"):
        look_up_text("long.txt", [], None, "tiny")
