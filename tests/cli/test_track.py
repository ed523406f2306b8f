"""`--track`: a run that is mirrored is the same run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.runs.directory import RunDirectory
from assay.tools.verify_resume import find_differences
from support.lab import Lab
from support.trained import call

pytest.importorskip("tensorboard")
pytest.importorskip("wandb")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


@pytest.fixture(autouse=True)
def _nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_BASE_URL", "WANDB_API_KEY", "ASSAY_TRACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return


def steps(run: Path, tag: str) -> list[int]:
    found = EventAccumulator(str(run / "tensorboard"))
    found.Reload()
    return [event.step for event in found.Scalars(tag)]


def test_a_mirrored_run_is_bit_for_bit_the_same_and_goes_on_when_resumed(lab: Lab, tmp_path: Path) -> None:
    both = ("--track", "tensorboard", "--track", "wandb")
    answer = call("train", lab.recipe, "--runs-dir", tmp_path, "--json", *both)
    run = Path(answer.json["run"])
    assert f"tensorboard --logdir {tmp_path}" in answer.err
    assert f"wandb sync {run}/wandb/offline-run-*" in answer.err
    assert find_differences(RunDirectory(lab.run), RunDirectory(run)) == []
    assert len(list((run / "wandb").glob("offline-run-*/*.wandb"))) == 1
    assert steps(run, "train/loss") == [2, 4, 6, 8]
    assert call("resume", run, "train.budget=12steps", "--track", "tensorboard", "--json").code == 0
    assert steps(run, "train/loss") == [2, 4, 6, 8, 10, 12]
    assert steps(run, "validation/bits_per_byte") == [4, 8, 12]


def test_the_environment_chooses_mirrors_for_every_run(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_TRACK", "tensorboard")
    run = Path(call("train", lab.recipe, "--runs-dir", tmp_path, "--json").json["run"])
    assert list((run / "tensorboard").glob("events.*"))
    assert not (run / "wandb").exists()


def test_an_unknown_mirror_is_refused_before_a_run_is_made(lab: Lab, tmp_path: Path) -> None:
    answer = call("train", lab.recipe, "--runs-dir", tmp_path / "none", "--track", "wandbb")
    assert (answer.code, answer.err) == (2, "assay: error: track: nothing is called 'wandbb'; did you mean 'wandb'?\n")
    assert not (tmp_path / "none").exists()
