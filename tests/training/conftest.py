"""One tiny text for all tests of training, prepared once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.experiment import write_text


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of 200 lines; the cache is beside it."""
    folder = tmp_path_factory.mktemp("text")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(folder / "cache"))
        yield write_text(folder)
