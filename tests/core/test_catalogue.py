"""Plug-ins add kinds; the catalogue's file is what the code registers, and is not used where it cannot hold all kinds."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from assay.core import catalogue
from assay.core.catalogue import describe_recipes, load_catalogue, read_registry, write_catalogue
from assay.core.config import FAMILIES
from assay.core.recipe import list_recipes
from assay.nn.block import BlockConfig

PLUGIN = """
from typing import Literal
from assay.nn.norm import NormConfig

class PluggedConfig(NormConfig):
    kind: Literal["plugged"] = "plugged"
"""


@pytest.fixture
def fresh() -> None:
    load_catalogue.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_the_file_says_what_is_registered() -> None:
    assert load_catalogue() == read_registry("assay."), "run make catalogue"
    assert set(load_catalogue().families) == set(FAMILIES)


def test_a_kind_has_its_settings_in_the_order_of_its_config() -> None:
    kind = read_registry().families["mixer"]["lstm"]
    leaf = FAMILIES["mixer"].kinds["lstm"]
    assert [setting.name for setting in kind.settings] == [key for key in leaf.model_fields if key != "kind"]
    assert leaf.__doc__ is not None
    assert kind.summary == leaf.__doc__.partition("\n")[0]
    (path,) = (setting for setting in read_registry().families["corpus"]["text"].settings if setting.name == "path")
    assert path.default == "(required)"


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("missing", [True, False])
def test_the_registry_is_read_where_the_file_is_missing_or_of_other_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    monkeypatch.setattr(catalogue, "FILE", tmp_path / "catalogue.json")
    if not missing:
        write_catalogue()
        monkeypatch.setattr(catalogue, "list_modules", lambda: ["nn/mixer/new.py"])
    registry = catalogue.Catalogue({}, {"new": "A new preset."})
    monkeypatch.setattr(catalogue, "read_registry", lambda: registry)
    assert load_catalogue() is registry
    load_catalogue.cache_clear()


def test_recipes_are_listed_with_their_comments() -> None:
    assert list(describe_recipes()) == list_recipes()
    assert all(describe_recipes().values())


def forget() -> None:
    """Let what is installed be looked up anew."""
    for found in (catalogue.find_plugins, catalogue.import_plugins, catalogue.load_catalogue):
        found.cache_clear()


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An importable package whose sub-package defines a norm."""
    (tmp_path / "assay_plugged" / "norms").mkdir(parents=True)
    (tmp_path / "assay_plugged" / "__init__.py").touch()
    (tmp_path / "assay_plugged" / "norms" / "__init__.py").touch()
    (tmp_path / "assay_plugged" / "norms" / "one.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "assay_plugged"
    FAMILIES["norm"]._kinds.pop("plugged", None)
    forget()
    for name in [name for name in sys.modules if name.startswith("assay_plugged")]:
        del sys.modules[name]


def test_an_installed_plug_in_adds_its_kinds(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint(name="plugged", value=plugin, group=catalogue.PLUGIN_GROUP)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [entry] if group == "assay.plugins" else [])
    forget()
    assert BlockConfig.make({"norm": "plugged"}).norm.kind == "plugged"
    assert "plugged" in catalogue.load_catalogue().families["norm"]


def test_without_its_entry_point_a_package_adds_nothing(plugin: str) -> None:
    forget()
    assert "plugged" not in FAMILIES["norm"].kinds
