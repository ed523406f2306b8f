"""A recipe and a finished run for each test."""

import shutil
from pathlib import Path

import pytest

import assay
from support.workshop import Workshop, make_workshop, use


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return make_workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def workshop(made: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A copy of its own for each test, with the caches of all."""
    runs = tmp_path / "runs"
    shutil.copytree(made.runs, runs)
    use(monkeypatch, tmp_path)
    monkeypatch.setenv("ASSAY_CACHE", str(made.folder / "cache"))
    return Workshop(tmp_path, made.recipe, assay.Run(runs / made.run.name))
