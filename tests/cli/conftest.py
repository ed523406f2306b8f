"""One run, trained once, for every test that only looks at it."""

from collections.abc import Iterator

import pytest

from support import trained
from support.lab import Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(folder / "cache"))
        patch.setenv("ASSAY_RUNS", str(folder / "runs"))
        patch.setenv("ASSAY_DATA", str(folder / "data"))
        recipe = trained.lay(folder)
        yield Lab(folder, recipe, trained.call("train", recipe, "--json"))


@pytest.fixture(autouse=True)
def _at_home(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command finds the lab's folders, and nothing of the person's who tests."""
    for name in ("cache", "runs", "data"):
        monkeypatch.setenv(f"ASSAY_{name.upper()}", str(lab.folder / name))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(lab.folder)
