"""A folder with a tiny recipe that finds its text from anywhere, and a finished run of it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

import assay
from support.trained import lay


@dataclass(frozen=True)
class Workshop:
    """What a test of the Python API works with."""

    folder: Path
    recipe: Path
    run: assay.Run  # of 20 steps, seed 0

    @property
    def runs(self) -> Path:
        """Where runs are kept unless said otherwise."""
        return self.folder / "runs"


def make_workshop(folder: Path) -> Workshop:
    """Lay the recipe and train the run. Its runs and caches stay in the folder."""
    recipe = lay(folder)
    text = folder / "data" / "inner" / "tiny.txt"
    text.write_text("".join(f"line {number} — naïve: {number * number}\n" for number in range(1500)), encoding="utf-8")
    recipe.write_text(recipe.read_text(encoding="utf-8").replace('"tiny.txt"', f"'{text}'"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        use(patch, folder)
        return Workshop(folder, recipe, assay.train(recipe, budget="20steps"))


def use(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep runs and caches in a folder."""
    patch.setenv("ASSAY_RUNS", str(folder / "runs"))
    patch.setenv("ASSAY_CACHE", str(folder / "cache"))
    patch.delenv("ASSAY_DATA", raising=False)  # which tests of commands set for their whole session
