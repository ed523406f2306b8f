"""Whatever is in a recipe or in an override, the answer is a config or one sentence."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.recipe import RECIPES, list_recipes, load_recipe, to_toml
from assay.core.trees import flatten
from assay.experiment.config import ExperimentConfig
from support.fuzz import BYTES, FEW, KEYS, MANY, VALUES, Draw, accept_or_refuse, change, mutate, write_toml

NAMES = list_recipes()
BUNDLED = {name: (RECIPES / f"{name}.toml").read_bytes() for name in NAMES}
TREES: list[dict[str, Any]] = [load_recipe(name) for name in NAMES]
SETTINGS = sorted({key for tree in TREES for key, _ in flatten(tree)})
WORDS = st.sampled_from(
    ("[", "]", "{", "}", "[[", "{a=1}", "{kind=full}", "1e999", "9" * 5000, "0x", "'", '"', '"""', "nan",
     "-", "=", "a=b", "\0", "\ufeff",
     "[" * 3000, "{a=" * 2000, "1_0", "1979-05-27", "12:00:00", "1979-05-27T07:32:00Z", "true", "[1,", "full", "20", "-5steps",
     "1e400steps",
     "9" * 400 + "steps", "#", "\\", "\u2028", "é", "[1979-05-27]", "{kind=moe, experts=1000000000}")
)  # fmt: skip


def read_recipe(folder: Path, data: bytes, scale: str | None = None) -> None:
    """Read a file as a recipe; what is accepted can be written, and read again."""
    file = folder / "mine.toml"
    file.write_bytes(data)
    config = accept_or_refuse(lambda: ExperimentConfig.load(str(file), [], scale))
    if isinstance(config, ExperimentConfig):
        assert ExperimentConfig.make(tomllib.loads(to_toml(config.to_dict()))).digest() == config.digest()


def read_mutated_recipe(folder: Path, draw: Draw) -> None:
    tree = draw(st.sampled_from([*TREES, *map(tomllib.loads, (data.decode() for data in BUNDLED.values()))]))
    data = write_toml(mutate(tree, draw))
    if data is not None:
        read_recipe(folder, data, draw(st.sampled_from((None, "tiny"))))


def override(draw: Draw) -> None:
    key = draw(st.sampled_from(SETTINGS) | KEYS)
    for _ in range(draw(st.integers(0, 2))):
        key += draw(st.sampled_from((".", "..", ".0", ".99999999999", ".kind", " ", ".é", ".-1", "=")))
    value = draw(WORDS | st.text(max_size=12) | VALUES.map(str))
    accept_or_refuse(lambda: ExperimentConfig.load("bible", [f"{key}={value}"]))


@FEW
@given(changes=BYTES, name=st.sampled_from(NAMES))
def test_damaged_recipes(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, str, bytes]], name: str) -> None:
    read_recipe(tmp_path_factory.getbasetemp(), change(BUNDLED[name], changes))


@FEW
@given(data=st.data())
def test_recipes_of_other_values_and_keys(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    read_mutated_recipe(tmp_path_factory.getbasetemp(), data.draw)


@FEW
@given(data=st.data())
def test_overrides_of_any_kind(data: st.DataObject) -> None:
    override(data.draw)


@pytest.mark.slow
@MANY
@given(data=st.data(), changes=BYTES, name=st.sampled_from(NAMES))
def test_many_recipes_and_overrides(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, changes: list[tuple[int, str, bytes]], name: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    read_recipe(folder, change(BUNDLED[name], changes))
    read_mutated_recipe(folder, data.draw)
    override(data.draw)


WHOLE = BUNDLED["bible"]
ODD: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a mark": lambda: b"\xef\xbb\xbf" + WHOLE,
    "CRLF": lambda: WHOLE.replace(b"\n", b"\r\n"),
    "CR": lambda: WHOLE.replace(b"\n", b"\r"),
    "NUL": lambda: WHOLE + b"\0",
    "UTF-16": lambda: WHOLE.decode().encode("utf-16"),
    "nesting": lambda: WHOLE + b"\na = " + b"[" * 100_000,
    "nested tables": lambda: b"[" + b"a." * 5_000 + b"b]\n",
    "a long number": lambda: WHOLE + b"\na = " + b"9" * 5000,
    "a long key": lambda: WHOLE + b"a" * 100_000 + b" = 1\n",
    "scales that is no table": lambda: b"scales = 3\n" + WHOLE.replace(b"[scales", b"[others"),
    "extends that is no text": lambda: b"extends = [1]\n",
    "extends itself": lambda: b'extends = "mine.toml"\n',
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("scale", [None, "tiny"])
def test_files_that_are_hardly_recipes(tmp_path: Path, name: str, scale: str | None) -> None:
    read_recipe(tmp_path, ODD[name](), scale)
