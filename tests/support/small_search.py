"""A small search over the tiny recipe: some steps a trial, everything in one folder."""

import os
from pathlib import Path
from typing import Any

import tomli_w

from assay.core.words import Notify
from assay.searches.file import SearchConfig
from assay.searches.folder import SearchFolder
from assay.searches.trial import Trial
from assay.searches.workers import run_worker
from support import trained

SEARCH: dict[str, Any] = {
    "base": "tiny.toml",
    "set": ["train.log_every=4steps", "train.validate_every=8steps", "train.samples=0", "train.save_every=20steps"],
    "budget": "8steps",
    "trials": 4,
    "sampler": "random",
    "space": {"optimizer.lr": {"log": [1e-4, 1e-1]}, "model.width": {"int": [8, 24], "step": 8}},
}
MIXERS: dict[str, Any] = {
    "model.block.mixer": {"choice": ["full", {"kind": "local", "window": 8}]},
    "model.block.mixer.window": {"int": [4, 16], "log": True, "when": {"model.block.mixer": "local"}},
}


def lay_search(folder: Path, name: str = "rates", **changes: Any) -> Path:
    """The text, the recipe and the search's file in a folder; the latter's path. A change to None leaves the key out."""
    if not (folder / "tiny.toml").is_file():
        trained.lay(folder)
    path = folder / f"{name}.toml"
    tree = {key: value for key, value in {**SEARCH, **changes}.items() if value is not None}
    path.write_text(tomli_w.dumps(tree), encoding="utf-8")
    return path


def begun(folder: Path, **changes: Any) -> SearchFolder:
    """The search's folder, and no trial in it yet."""
    config = SearchConfig.load(lay_search(folder, **changes))
    return SearchFolder.open_or_create(folder / "runs" / "rates", config, config.load_base())


def quiet(text: str) -> None:
    """Tells nobody."""


def make(search: SearchFolder, tell: Notify = quiet) -> dict[str, int]:
    """Let this process work on a search until nothing is left; how the trials ended."""
    return dict(run_worker(search.path, Path(os.environ["ASSAY_DATA"]), tell))


def states(search: SearchFolder) -> list[str]:
    """Of the trials, in the order of their numbers."""
    return [trial.ending or trial.state for trial in search.journal.trials()]


def trials(search: SearchFolder) -> list[Trial]:
    """As the journal has them."""
    return search.journal.trials()


def run_folders(search: SearchFolder) -> list[str]:
    """The directories of runs that there are."""
    return sorted(path.parent.name for path in search.path.glob("*/config.toml"))
