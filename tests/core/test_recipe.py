"""Merging, overrides and recipes that extend recipes."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core import recipe
from assay.core.recipe import apply_overrides, find_recipe, get_value, list_recipes, load_recipe, parse_value, set_value, to_toml
from assay.core.trees import merge
from assay.errors import ConfigError
from assay.experiment.config import ExperimentConfig


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": {"kind": "p", "x": 1}}, {"a": {"x": 2}}, {"a": {"kind": "p", "x": 2}}),
        ({"a": {"kind": "p", "x": 1}}, {"a": {"kind": "p", "y": 2}}, {"a": {"kind": "p", "x": 1, "y": 2}}),
        ({"a": {"kind": "p", "x": 1}}, {"a": {"kind": "q", "y": 2}}, {"a": {"kind": "q", "y": 2}}),
        ({"a": {"kind": "p", "x": 1}}, {"a": "p"}, {"a": {"kind": "p", "x": 1}}),
        ({"a": {"kind": "p", "x": 1}}, {"a": "q"}, {"a": "q"}),
        ({"a": "p"}, {"a": {"x": 1}}, {"a": {"kind": "p", "x": 1}}),
        ({"a": "p"}, {"a": {"kind": "q", "x": 1}}, {"a": {"kind": "q", "x": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    ],
)
def test_a_merge_keeps_the_keys_of_the_same_kind_and_drops_those_of_another(
    base: dict[str, Any], over: dict[str, Any], merged: dict[str, Any]
) -> None:
    before = repr(base)
    assert merge(base, over) == merged
    assert repr(base) == before


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("true", True),
        ("full", "full"),
        ("gpt2-tiny", "gpt2-tiny"),
        ("'a b'", "a b"),
        ("[1, 2]", [1, 2]),
        ("[full, local]", ["full", "local"]),
        ("{kind = moe, experts = 8}", {"kind": "moe", "experts": 8}),
        ("{kind='moe', deep = {x = true}}", {"kind": "moe", "deep": {"x": True}}),
        ("[{feedforward = glu}, {}]", [{"feedforward": "glu"}, {}]),
        ("runs/one.toml", "runs/one.toml"),
    ],
)
def test_a_value_is_toml_and_bare_words_are_strings(text: str, value: object) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize(
    ("assignments", "tree"),
    [
        (["a.b=1"], {"a": {"b": 1}}),
        (["a.kind=q"], {"a": {"kind": "q"}}),
        (["block.mixer=local", "block.mixer.window=64"], {"block": {"mixer": {"kind": "local", "window": 64}}}),
        (["pattern.2.feedforward=glu"], {"pattern": [{}, {}, {"feedforward": "glu"}]}),
        (["seed=1", "seed=2"], {"seed": 2}),
        (["a = x = y"], {"a": "x = y"}),
    ],
)
def test_overrides_are_applied_in_order(assignments: list[str], tree: dict[str, object]) -> None:
    assert apply_overrides({}, assignments) == tree


def test_an_override_of_a_kind_drops_the_old_kind_s_keys() -> None:
    tree = {"mixer": {"kind": "local", "window": 8}}
    assert apply_overrides(tree, ["mixer.kind=full"]) == {"mixer": {"kind": "full"}}
    assert apply_overrides(tree, ["mixer=full"]) == {"mixer": "full"}
    assert apply_overrides(tree, ["mixer.kind=local"]) == tree
    assert tree == {"mixer": {"kind": "local", "window": 8}}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("seed", "'seed' is not an override; write key=value"),
        ("=3", "'=3' is not an override"),
        ("a.b=[1, ", "a.b: cannot read '[1,'"),
        ("width.x=3", "width.x: 'x' cannot be set inside the value 32"),
        ("pattern.first=full", "pattern.first: a list is indexed by a number below 10,000, not by 'first'"),
    ],
)
def test_an_override_that_cannot_be_is_refused_with_its_place(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        apply_overrides({"width": 32, "pattern": []}, [assignment])
    assert str(refused.value).startswith(message)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mixer = "[model.block.mixer]\nkind = 'local'\nwindow = 8\n"
    (tmp_path / "base.toml").write_text(f"seed = 1\n[model]\nkind = 'decoder'\nwidth = 32\n{mixer}")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "child.toml").write_text("extends = '../base.toml'\nseed = 2\n[model.block]\nmixer = 'full'\n")
    return tmp_path


def test_a_recipe_extends_another_beside_it(folder: Path) -> None:
    tree = load_recipe(str(folder / "sub" / "child.toml"))
    assert tree == {"seed": 2, "model": {"kind": "decoder", "width": 32, "block": {"mixer": "full"}}}


def test_recipes_that_extend_each_other_are_refused(folder: Path) -> None:
    (folder / "base.toml").write_text("extends = 'sub/child.toml'\n")
    with pytest.raises(ConfigError, match="extends: goes in a circle: child -> base -> child"):
        load_recipe(str(folder / "sub" / "child.toml"))


def test_a_missing_recipe_is_refused_with_what_there_is(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no recipe file .*none\.toml; give the path of a TOML file or one of: "):
        find_recipe(str(folder / "none.toml"))
    shipped = list_recipes()[0]
    with pytest.raises(ConfigError, match=f"unknown recipe '{shipped}x'; did you mean '{shipped}'"):
        find_recipe(f"{shipped}x")


def test_a_broken_file_is_refused_with_its_path(folder: Path) -> None:
    (folder / "base.toml").write_bytes(b"seed = \n")
    with pytest.raises(ConfigError, match=r"base\.toml: is not valid TOML"):
        load_recipe(str(folder / "base.toml"))
    (folder / "base.toml").write_bytes(b"seed = '\xff'\n")
    with pytest.raises(ConfigError, match=r"base\.toml: is not valid TOML"):
        load_recipe(str(folder / "base.toml"))


def test_shipped_recipes_are_found_by_name() -> None:
    assert list_recipes()
    for name in list_recipes():
        assert find_recipe(name).is_file()
        assert find_recipe(name).parent == Path(str(recipe.RECIPES))


SCALARS = st.one_of(st.booleans(), st.integers(-(2**50), 2**50), st.floats(allow_nan=False, width=64), st.text(max_size=9))
TREES = st.dictionaries(
    st.text(min_size=1, max_size=6), st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=6), max_size=5
)


@given(TREES)
def test_a_tree_survives_its_file(tree: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(tree)) == tree


def test_a_scale_is_laid_on_the_recipe_and_leaves_no_trace_without(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("[model]\nwidth = 64\ndepth = 4\n[scales.tiny.model]\nwidth = 8\n[scales.huge.model]\ndepth = 99\n")
    (tmp_path / "child.toml").write_text('extends = "base.toml"\n[model]\ndepth = 5\n[scales.tiny.model]\ndepth = 1\n')
    assert recipe.load_recipe(str(tmp_path / "child.toml")) == {"model": {"width": 64, "depth": 5}}
    assert recipe.load_recipe(str(tmp_path / "child.toml"), "tiny") == {"model": {"width": 8, "depth": 1}}
    assert recipe.load_recipe(str(tmp_path / "child.toml"), "huge") == {"model": {"width": 64, "depth": 99}}


def test_an_unknown_scale_is_refused_with_those_there_are(tmp_path: Path) -> None:
    file = tmp_path / "one.toml"
    file.write_text("[scales.tiny.model]\nwidth = 8\n")
    with pytest.raises(ConfigError, match=r"one.toml has no scale 'tinny'; did you mean 'tiny'\?"):
        recipe.load_recipe(str(file), "tinny")
    file.write_text("[model]\nwidth = 8\n")
    with pytest.raises(ConfigError, match=r"has no scale 'tiny'; leave out the scale, or add a table \[scales.NAME\]"):
        recipe.load_recipe(str(file), "tiny")


def test_a_text_in_place_of_a_recipe_has_the_settings_of_the_bible_and_its_own_corpus(tmp_path: Path) -> None:
    text = tmp_path / "my text.txt"
    text.write_text("In the beginning")
    assert load_recipe(str(text)) == {**load_recipe("bible"), "corpus": {"kind": "text", "path": str(text)}}
    assert load_recipe(str(text), "tiny")["model"] == load_recipe("bible", "tiny")["model"]


def test_a_recipe_extends_no_text(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("In the beginning")
    (tmp_path / "mine.toml").write_text(f'extends = "{tmp_path}/mine.txt"')
    with pytest.raises(ConfigError, match=r"mine.txt is a text, not a recipe; name a recipe"):
        load_recipe(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpt2", "'gpt2' (nanoGPT) is no recipe here; the nearest one is bible-gpt"),
        ("nanoGPT", "write bible-gpt"),
        ("shakespeare_char", "write shakespeare"),
        ("config/train_shakespeare_char.py", "recipes are TOML files; write its settings as overrides"),
        ("config/train_shakespeare_char.py", "assay train shakespeare"),
        ("enwik8", "write enwik8-tiny"),
        ("sweep.yaml", "is a config of another program"),
        ("config.json", "assay train bible"),
    ],
)
def test_a_recipe_of_another_program_is_told_which_one_to_write(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        find_recipe(name)
    assert words in str(refused.value)


def test_a_run_in_place_of_a_recipe_is_told_how_it_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "bible-1"
    run.mkdir()
    (run / "config.toml").write_text("")
    (run / "log.txt").write_text("a text, but not one to train on")
    with pytest.raises(ConfigError, match=rf"{run} is a run, not a recipe; go on with it by `assay resume {run}`, or train it anew"):
        load_recipe(str(run))
    with pytest.raises(ConfigError, match=rf"{tmp_path} is a folder of runs, not a recipe; list them with"):
        load_recipe(str(tmp_path))


def test_a_value_is_read_at_its_dotted_key_and_absent_ones_are_none() -> None:
    tree = {"model": {"pattern": ["full", {"kind": "local", "window": 4}], "width": 8}}
    assert [get_value(tree, key) for key in ("model.width", "model.pattern.1.window", "model.pattern.0")] == [8, 4, "full"]
    assert [get_value(tree, key) for key in ("model.depth", "model.pattern.2", "model.pattern.kind", "model.width.a")] == [None] * 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("extends = [1]", "extends: [1] is no recipe; write its name or the path of its file"),
        ("scales = 3", "scales: is no table of tables"),
        ('extends = "bible"\n[scales]\nmine = 3', "scales: is no table of tables"),
        ('extends = "bible"\n[corpus]\nkind = []', "corpus.kind: [] is no name of a kind; known are: "),
    ],
)
def test_tables_and_names_of_another_type_are_refused_at_their_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        ExperimentConfig.load(str(file), [], "tiny" if "scales" in text else None)
    assert says in str(refused.value)


@pytest.mark.parametrize("index", ["99999999999", "9" * 5000, "\u00b2", "-1"])
def test_a_list_grows_to_an_index_of_reason_only(index: str) -> None:
    with pytest.raises(ConfigError, match=r"indexed by a number below 10,000"):
        set_value({"pattern": [{}]}, f"pattern.{index}", {})


def test_a_key_that_is_no_word_is_one_line_of_a_refusal() -> None:
    with pytest.raises(ConfigError) as refused:
        ExperimentConfig.load("bible", [f"a\nb{'c' * 5000}=1"])
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 2000
