"""The page of other programs' settings is what the table says."""

import importlib
from pathlib import Path

import pytest

from assay.core.foreign_settings import load_foreign_settings

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_table_says_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    text = (DOCS / "where-is-my-setting.md").read_text(encoding="utf-8")
    assert text == importlib.import_module("make_settings_page").page(), "run make catalogue"
    assert all(f"\n| `{name}` | " in text for name in load_foreign_settings())
