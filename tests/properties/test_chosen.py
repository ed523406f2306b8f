"""The inner loop leaves no family out, and nothing that has changed."""

import inspect
from pathlib import Path

import pytest

from assay.core.config import FAMILIES
from assay.nn.feedforward.dense import GluConfig
from assay.nn.feedforward.moe import MoeConfig
from properties import chosen
from properties.test_training_settings import FAMILY_NAMES
from support.broken import ToyConfig
from support.kinds import SIDE


def test_each_family_has_kinds_that_stand_for_it() -> None:
    assert set(chosen.FEW) == {*SIDE, *FAMILY_NAMES}
    for name, kinds in chosen.FEW.items():
        assert kinds
        assert kinds <= set(FAMILIES[name].kinds)


def test_a_kind_is_tried_when_its_file_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "changed_files", lambda: frozenset({Path(inspect.getfile(MoeConfig)).resolve()}))
    assert chosen.has_changed(MoeConfig)
    assert not chosen.has_changed(GluConfig)


def test_a_kind_of_another_package_is_always_tried() -> None:
    assert chosen.has_changed(ToyConfig)


def test_git_names_the_files_that_differ_from_an_earlier_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"merge-base": ["abc"], "diff": ["src/assay/nn/norm.py"], "ls-files": ["src/assay/nn/new.py"]}
    monkeypatch.setattr(chosen, "_git", lambda *arguments: said[arguments[0]] if "abc" in arguments or arguments[0] != "diff" else [])
    found = {path.name for path in chosen.changed_files.__wrapped__()}
    assert found == {"norm.py", "new.py"}


def test_without_git_nothing_is_known_to_have_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chosen.changed_files.__wrapped__() == frozenset()
