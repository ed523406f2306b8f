"""A signal at any moment leaves nothing false behind: what goes on afterwards comes out as if it had not been disturbed, bit for bit."""

import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.forked import Ended, Server
from support.small_search import lay_search
from support.small_study import lay_study

SEED = int(os.environ.get("ASSAY_TEST_SEED", "0"))  # decides the moments
MOMENTS = 12  # of a command
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
TRAIN = ("train", "tiny.toml", "train.budget=24steps", "train.save_every=4steps", "train.log_every=2steps")
Outcome = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("signals")
    lay_study(folder)
    lay_search(folder)
    with Server(folder) as started:
        assert started.call(*TRAIN).code == 0  # the text is in the cache
        shutil.copytree(next((folder / "runs").iterdir()), folder / "template" / "trained")
        yield started


def read_run(run: Path) -> Outcome:
    """What a run's numbers are, every bit, and which files it has."""
    weights = sorted(run.glob("checkpoints/*/model.safetensors"))
    status = json.loads((run / "status.json").read_text())
    return {
        "metrics": (run / "metrics.jsonl").read_text(),
        "weights": [(file.parent.name, file.read_bytes()) for file in weights],
        "scores": status["scores"],
        "state": status["state"],
        "files": sorted(str(file.relative_to(run)) for file in run.rglob("*") if file.is_file() and file.name != "baselines.json"),
    }


def read_runs(folder: Path) -> Outcome:
    """All runs in a folder and in the folders of it, by their names."""
    return {str(file.parent.relative_to(folder)): read_run(file.parent) for file in sorted(folder.rglob("config.toml"))}


def read_scores(folder: Path) -> Outcome:
    """The stored scores of the one run in a folder; how long they took is no figure."""
    files = sorted((folder / "trained" / "scores").iterdir())
    return {file.name: _without_time(file) for file in files}


def _without_time(file: Path) -> Outcome:
    return {"size": file.stat().st_size} if file.suffix != ".json" else {**json.loads(file.read_text()), "seconds": None, "time": None}


def stopped_well(ended: Ended) -> None:
    """One sentence and the exit code 130, or all was done before the signal came."""
    assert ended.code in (0, 130), ended
    assert "Traceback" not in ended.err, ended
    assert ended.code == 0 or ended.err.splitlines()[-1].startswith("assay: "), ended


class Disturbed:
    """A command that is disturbed at random moments, each time in a new folder of runs."""

    def __init__(self, server: Server, name: str, command: tuple[str, ...], read: Callable[[Path], Outcome], score: bool = False) -> None:
        self.server, self.name, self.command, self.read, self.score = server, name, command, read, score
        self.random = random.Random(f"{name} {SEED}")
        self.undisturbed, self.seconds = self._measure()

    def _folder(self, name: str) -> Path:
        folder = self.server.folder / f"{self.name}-{name}"
        folder.mkdir()
        if self.score:
            shutil.copytree(self.server.folder / "template" / "trained", folder / "trained")
        return folder

    def _call(self, folder: Path, *command: str, **more: Any) -> Ended:
        return self.server.call(*command, environment={"ASSAY_RUNS": str(folder)}, **more)

    def _measure(self) -> tuple[Outcome, float]:
        folder = self._folder("whole")
        ended = self._call(folder, *self.command)
        assert ended.code == 0, ended
        return self.read(folder), ended.seconds

    def disturb(self, number: int) -> None:
        """Send a signal at a random moment, go on, and expect what there is without."""
        chosen, seconds = self.random.choice(SIGNALS), self.random.uniform(0.0, self.seconds)
        place = f"{self.name}, ASSAY_TEST_SEED={SEED}, moment {number}: {chosen.name} after {seconds:.3f} s"
        print(place)
        folder = self._folder(str(number))
        stopped_well(self._call(folder, *self.command, stop=(int(chosen), seconds)))
        again = self.command
        if self.command is TRAIN:
            runs = [path for path in folder.iterdir() if any(path.glob("checkpoints/step-*"))]
            if not runs:
                return  # nothing was saved yet
            again = ("resume", str(runs[0]))
        ended = self._call(folder, *again)
        assert ended.code == 0, (place, ended)
        found = self.read(folder)
        assert found.keys() == self.undisturbed.keys(), place
        for run, values in self.undisturbed.items():
            for name, value in values.items():
                assert found[run][name] == value, (place, run, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "command", "read", "moments"),
    [
        ("train", TRAIN, read_runs, MOMENTS),
        ("score", ("score", "trained", "--checkpoint", "last"), read_scores, MOMENTS),
        ("search", ("search", "rates.toml"), read_runs, MOMENTS // 2),
        ("study", ("study", "run", "width.toml"), read_runs, MOMENTS // 4),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_signal_at_a_random_moment_leaves_nothing_false(
    server: Server, name: str, command: tuple[str, ...], read: Callable[[Path], Outcome], moments: int
) -> None:
    disturbed = Disturbed(server, name, command, read, score=name == "score")
    for number in range(moments):
        disturbed.disturb(number)
