"""A run that a signal stops at any moment of its life, and that is resumed, is the run that was not stopped, bit for bit."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from assay.tracking.combined import CombinedTracker
from assay.trainer import scoring, train_run, trainer
from assay.trainer.trainer import Trainer
from assay.training import checkpoint, loop
from support.experiment import write_recipe, write_text
from support.trained import call

SETTINGS = (
    "train.budget=4steps", "train.log_every=2steps", "train.validate_every=2steps", "train.sample_every=4steps", "train.samples=1",
    "train.save_every=2steps",
)  # fmt: skip
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
MOMENTS: tuple[tuple[Any, str, int], ...] = (  # just before which call of which function
    (train_run, "assemble", 1),
    (train_run, "write_run_files", 1),
    (loop, "train_step", 1),
    (loop, "train_step", 4),  # the last
    (Trainer, "_record_metrics", 1),
    (trainer, "score_validation", 1),
    (Trainer, "_sample", 1),
    (trainer, "write_durably", 1),  # of the sample
    (checkpoint, "save_file", 1),
    (checkpoint, "_prune", 1),
    (trainer, "compute_final_scores", 1),
    (scoring, "make_training_scorer", 1),
    (scoring, "store_score", 2),
    (CombinedTracker, "log_final_scores", 1),
)


class Undisturbed(NamedTuple):
    """A run that nothing disturbed, and the recipe of it."""

    recipe: Path
    outcome: dict[str, Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a cache of its own, where Ctrl-C is what Python makes of it."""
    folder = tmp_path_factory.mktemp("interrupts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(folder / "cache"))
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield folder
        signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def undisturbed(home: Path) -> Undisturbed:
    recipe = write_recipe(home, write_text(home), *SETTINGS)
    ended = call("train", recipe, "--runs-dir", home / "undisturbed")
    assert ended.code == 0, ended.err
    (run,) = (home / "undisturbed").iterdir()
    return Undisturbed(recipe, read(run))


def read(run: Path) -> dict[str, Any]:
    """What a run's numbers are, every bit, and which files it has."""
    status = json.loads((run / "status.json").read_text())
    return {
        "state": status["state"],
        "scores": status["scores"],
        "metrics": (run / "metrics.jsonl").read_text(),
        "timed": [json.loads(line)["step"] for line in (run / "timings.jsonl").read_text().splitlines()],
        "exact": {path.name: path.read_bytes() for pattern in ("samples/*", "checkpoints/*/*.safetensors") for path in run.glob(pattern)},
        "files": sorted(str(path.relative_to(run)) for path in run.rglob("*")),
    }


def stop_before(patch: pytest.MonkeyPatch, owner: Any, name: str, number: int, chosen: signal.Signals) -> None:
    """Send this process a signal just before the n-th call of a function."""
    original, calls = getattr(owner, name), 0

    def call_and_stop(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), chosen)
        return original(*arguments, **options)

    patch.setattr(owner, name, call_and_stop)


@pytest.mark.parametrize(
    ("owner", "name", "number", "chosen"),
    [(*moment, SIGNALS[index % len(SIGNALS)]) for index, moment in enumerate(MOMENTS)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_run_that_is_stopped_and_resumed_is_the_run_that_was_not(
    home: Path, undisturbed: Undisturbed, owner: Any, name: str, number: int, chosen: signal.Signals
) -> None:
    folder = home / "stopped"
    shutil.rmtree(folder, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        stop_before(patch, owner, name, number, chosen)
        ended = call("train", undisturbed.recipe, "--runs-dir", folder)
    assert ended.code in (0, 130), ended.err
    assert ended.code == 0 or ended.err.splitlines()[-1].startswith("assay: "), ended.err
    runs = [*folder.iterdir()] if folder.is_dir() else []
    if runs and any(runs[0].glob("checkpoints/step-*")):
        again = call("resume", runs[0])
        assert again.code == 0, again.err
        assert read(runs[0]) == undisturbed.outcome
    else:
        assert ended.code == 130  # and nothing was made that could be lost
