"""The page about the design tells of the code that there is."""

import importlib
import os
import re
import sys
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

import assay
from support import trained

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "design.md").read_text(encoding="utf-8")
PACKAGE = Path(assay.__file__).parent
AT_MOST = 15  # files from command to checkpoint


@pytest.fixture
def make_tree(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("make_tree")


def way() -> list[tuple[str, str]]:
    """(file, function) of every line of the section about the way from command to checkpoint."""
    section = PAGE.partition("## From command to checkpoint")[2].partition("\n## ")[0]
    return re.findall(r"^\d+\. `([\w/]+\.py)`, `([\w.]+)`: ", section, re.MULTILINE)


def test_the_tree_and_the_layers_are_what_the_command_prints_now(make_tree: ModuleType) -> None:
    assert make_tree.renewed(PAGE) == PAGE, "run make tree"


def test_a_page_without_a_place_for_the_tree_is_refused(make_tree: ModuleType) -> None:
    with pytest.raises(make_tree.NoPlace, match="<!-- tree: make tree -->"):
        make_tree.renewed("# Design\n")


def test_every_package_of_python_is_in_a_layer(make_tree: ModuleType) -> None:
    named = {name for layer in make_tree.ordered() for name in layer}
    assert named == {path.stem for path in PACKAGE.glob("*") if (path / "__init__.py").exists() or path.name in ("api.py", "errors.py")}


def test_every_package_says_in_one_sentence_what_it_is_for(make_tree: ModuleType) -> None:
    purposes = {path.parent.name: make_tree.purpose(path) for path in PACKAGE.rglob("__init__.py")}
    assert len(purposes) > 30
    assert all(text.endswith(".") and text[:1].isupper() for text in purposes.values()), purposes


def test_the_way_to_a_checkpoint_has_few_files_and_each_exists() -> None:
    files = [file for file, _ in way()]
    assert files[0] == "cli/train.py"
    assert files[-1] == "training/checkpoint.py"
    assert len(files) <= AT_MOST
    assert [file for file in files if not (PACKAGE / file).is_file()] == []


def test_a_run_takes_that_way_in_that_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cache", "runs", "data"):
        monkeypatch.setenv(f"ASSAY_{name.upper()}", str(tmp_path / name))
    recipe, reached = trained.lay(tmp_path), dict[tuple[str, str], None]()
    root = f"{PACKAGE}{os.sep}"

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(root):
            reached.setdefault((code.co_filename.removeprefix(root).replace(os.sep, "/"), code.co_qualname))

    sys.setprofile(note)
    try:
        trained.call("train", recipe, "train.budget=2steps", "--json")
    finally:
        sys.setprofile(None)
    assert [place for place in reached if place in way()] == way()


def test_files_and_packages_of_the_code_that_the_text_names_exist() -> None:
    prose = re.sub(r"(?s)```.*?```", "", PAGE)
    tables = re.findall(r"^\|[^|]*\|([^|]*)\|([^|]*)\|$", prose, re.MULTILINE)  # the first column names what was planned
    text = re.sub(r"^\|.*$", "", prose, flags=re.MULTILINE) + "".join(cell for row in tables for cell in row)
    named = [name for name in re.findall(r"`([\w/]+/[\w/.]+)`", text) if not name.startswith(("src/", "tests/"))]
    assert len(named) > 20
    assert [name for name in named if not any((PACKAGE / f"{name}{end}").exists() for end in ("", ".py"))] == []
