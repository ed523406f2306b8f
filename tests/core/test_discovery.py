import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from assay.core import catalogue, discovery
from assay.core.config import FAMILIES
from assay.nn.block import BlockConfig

PLUGIN = """
from typing import Literal
from assay.nn.norm import NormConfig

class PluggedConfig(NormConfig):
    kind: Literal["plugged"] = "plugged"
"""


def forget() -> None:
    """Let what is installed be looked up anew."""
    for found in (discovery.plugins, discovery.import_plugins, catalogue.catalogue):
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
    entry = EntryPoint(name="plugged", value=plugin, group=discovery.PLUGIN_GROUP)
    monkeypatch.setattr(discovery, "entry_points", lambda group: [entry] if group == "assay.plugins" else [])
    forget()
    assert BlockConfig.make({"norm": "plugged"}).norm.kind == "plugged"
    assert "plugged" in catalogue.catalogue().families["norm"]


def test_without_its_entry_point_a_package_adds_nothing(plugin: str) -> None:
    forget()
    assert "plugged" not in FAMILIES["norm"].kinds
