"""A tiny text and its recipe, with a cache of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.experiment import write_recipe, write_text


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A recipe in a folder, with its text beside it."""
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(folder / "cache"))
        yield write_recipe(folder, write_text(folder))
