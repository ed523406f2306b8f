"""A resume: what may change, and that what was begun ends as it would have."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import assay
from assay.errors import RunError
from assay.runs.directory import METRICS
from assay.tools.verify_resume import find_differences
from assay.tracking.base import Tracker
from support.experiment import write_recipe, write_text

NEVER_BETTER = ("optimizer.lr=0.3", "schedule.warmup=0", "train.validate_every=2steps", "train.log_every=4steps")


@pytest.fixture(autouse=True)
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path / "runs"))
    return write_text(tmp_path)


class Notes(Tracker):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def log_message(self, text: str) -> None:
        self.said.append(text)


class Counting(assay.Hook):
    """Remembers a number."""

    name = "counting"
    count = 0

    def after_step(self, state: Any, result: Any) -> None:
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


def impatient(tmp_path: Path, text: Path) -> assay.Run:
    """A run of 40 steps that patience ended before."""
    run = assay.train(write_recipe(tmp_path, text, *NEVER_BETTER, "train.patience=2", "train.budget=40steps"))
    assert run.status.step < 40
    return run


def test_a_run_that_patience_ended_is_not_trained_on_by_a_plain_resume(text: Path, tmp_path: Path) -> None:
    run, notes = impatient(tmp_path, text), Notes()
    ended, metrics, scores = run.status.step, run.metrics(), run.status.metrics["scores"]
    assert metrics[-1]["step"] == ended
    run.directory.update_status(state="running", scores=None, bits_per_byte=None)  # as after a kill during the final scores
    again = run.resume(tracker=notes)
    assert (again.status.state, again.status.step, again.metrics()) == ("finished", ended, metrics)
    assert again.status.metrics["scores"] == scores
    assert f"train.patience ended this run at step {ended} of 40" in notes.said[0]


@pytest.mark.parametrize("change", ["train.patience=100", "train.budget=44steps"])
def test_more_patience_or_a_larger_budget_trains_such_a_run_on(text: Path, tmp_path: Path, change: str) -> None:
    run = impatient(tmp_path, text)
    ended = run.status.step
    assert run.resume(change).status.step > ended


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ((), ("train.patience=2",)),
        (("train.patience=1",), ("train.patience=99",)),
        ((), ("train.samples=1", "train.sample_every=2steps", "train.log_every=2steps", "train.save_every=1steps")),
    ],
)
def test_what_observes_may_be_switched_on_and_off_at_a_resume(
    text: Path, tmp_path: Path, before: tuple[str, ...], change: tuple[str, ...]
) -> None:
    recipe = write_recipe(tmp_path, text, "train.budget=8steps", *before)
    straight = assay.train(recipe, "train.budget=8steps")
    run = assay.train(recipe, hooks=[lambda event: event.stop("half") if event.step == 5 and event.name == "step" else None])
    run = run.resume(*change)
    assert run.status.state == "finished"
    assert [difference for difference in find_differences(run.directory, straight.directory) if not difference.startswith(METRICS)] == []


def test_hooks_may_be_added_and_left_out_at_a_resume(text: Path, tmp_path: Path) -> None:
    recipe, hook, notes = write_recipe(tmp_path, text, "train.budget=2steps"), Counting(), Notes()
    run = assay.train(recipe).resume("train.budget=4steps", hooks=[hook])
    assert hook.count == 2
    assert run.resume("train.budget=6steps", tracker=notes).status.state == "finished"
    assert any("without the hooks counting, and without what they remembered" in said for said in notes.said)


@pytest.mark.parametrize("setting", ["train.accumulation=2", "train.activation_checkpointing=true"])
def test_memory_may_be_traded_for_time_at_a_resume(text: Path, tmp_path: Path, setting: str) -> None:
    recipe, notes = write_recipe(tmp_path, text, "train.budget=4steps", "schedule=constant"), Notes()
    straight = assay.train(recipe, "train.budget=8steps")
    changed = assay.train(recipe).resume("train.budget=8steps", setting, tracker=notes)
    assert any("other rounding" in said for said in notes.said) == ("accumulation" in setting)
    one, other = (load_file(next(run.directory.checkpoints.glob("step-00000008/model.safetensors"))) for run in (straight, changed))
    for name, weights in one.items():
        np.testing.assert_allclose(weights, other[name], rtol=1e-4, atol=1e-5)
    with pytest.raises(RunError, match=r"batches.size: cannot change .*train\.accumulation"):
        changed.resume("batches.size=2")
    assert "changes" in json.loads((changed.path / "changes.jsonl").read_text().splitlines()[-1])


def test_checkpoints_that_were_kept_stay_when_a_resume_keeps_no_more(text: Path, tmp_path: Path) -> None:
    run = assay.train(write_recipe(tmp_path, text, "train.keep_every=6steps", "train.validate_every=20steps"))
    assert sorted(path.name for path in run.directory.checkpoints.glob("step-*")) == [
        "step-00000006",
        "step-00000012",
        "step-00000018",
        "step-00000020",
    ]
    straight, scored = (run.score(checkpoint=which).protocol.checkpoint for which in ("step-12", 12))
    assert straight == scored == ("step", 12)
    run.resume("train.budget=30steps", "train.keep_every=1000steps")
    assert (run.directory.checkpoints / "step-00000006").is_dir()
