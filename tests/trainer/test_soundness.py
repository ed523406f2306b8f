"""No state is saved, no score accepted and no run called finished whose losses are not finite."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import assay
from assay.core.files import hash_file
from assay.errors import NonFiniteLoss, RunError
from assay.runs.checkpoint_ref import list_steps
from assay.trainer.soundness import find_fault
from assay.training import checkpoint
from assay.training.loop import train_step
from support.experiment import build, write_recipe, write_text


@pytest.fixture(autouse=True)
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path / "runs"))
    return write_text(tmp_path)


class Break(assay.Hook):
    """Makes one part of the state NaN or too large, after a step."""

    def __init__(self, part: str, step: int) -> None:
        self.part, self.step = part, step

    def begin(self, training: Any) -> None:
        self.state = training.state

    def after_step(self, state: Any, result: Any) -> None:
        if state.step == self.step:
            break_part(state, self.part)


@torch.no_grad()
def break_part(state: Any, part: str) -> None:
    """Spoil one part of a training state."""
    weight = next(iter(state.learner.model.parameters()))
    if part == "weights":
        weight[0, 0] = torch.nan
    elif part == "logits":  # finite weights, products that are not
        for each in state.learner.model.parameters():
            each.fill_(3e38)
    elif part == "averaged logits":
        for each in state.weight_average.weights.values():
            each.fill_(3e38)
    elif part == "average":
        next(iter(state.weight_average.weights.values())).fill_(torch.inf)
    else:
        next(iter(state.optimizer.parts.values())).state[weight]["exp_avg"].fill_(torch.nan)


def run_of(tmp_path: Path) -> assay.Run:
    (run,) = assay.list_runs(tmp_path / "runs")
    return run


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("weights", "1 of the tensors to be saved are not finite, first weights.model."),
        ("optimizer", "1 of the tensors to be saved are not finite, first optimizer.adamw."),
        ("average", "1 of the tensors to be saved are not finite, first average."),
        ("logits", "the weights are finite, but not the losses"),
        ("averaged logits", "the average of the weights is finite, but not the losses"),
    ],
)
def test_every_part_of_a_state_is_looked_at(text: Path, part: str, said: str) -> None:
    experiment = build(text, "train.ema=0.9")
    train_step(experiment.state, experiment.setup)
    assert find_fault(experiment, {}) is None
    break_part(experiment.state, part)
    assert said in str(find_fault(experiment, {}))


def test_a_run_whose_weights_are_finite_and_whose_logits_are_not_has_diverged(text: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, text, "optimizer=muon", "optimizer.lr=1e38", "schedule.warmup=0", "train.budget=1steps")
    with pytest.raises(NonFiniteLoss, match=r"validation: the loss of the checkpoint step 1 is not finite.*no checkpoint was saved before"):
        assay.train(recipe)
    run = run_of(tmp_path)
    assert (run.status.state, run.status.failure, run.status.metrics) == ("failed", "diverged", {})
    assert not list_steps(run.directory.checkpoints)
    assert run.scores == {}
    assert "NaN" not in "".join(file.read_text() for file in run.path.glob("*.json*"))


@pytest.mark.parametrize("part", ["weights", "logits", "optimizer"])
def test_the_last_checkpoint_of_a_run_that_diverged_is_good(text: Path, tmp_path: Path, part: str) -> None:
    recipe = write_recipe(tmp_path, text, "train.save_every=2steps", "train.validate_every=4steps", "train.budget=6steps")
    with pytest.raises(NonFiniteLoss, match=r"; the last good checkpoint is .*step-00000004$"):
        assay.train(recipe, hooks=[Break(part, 5)])
    run = run_of(tmp_path)
    assert list_steps(run.directory.checkpoints) == [4]
    assert run.score(checkpoint="last").bits_per_byte > 0
    assert run.resume().status.state == "finished"


def test_a_broken_checkpoint_of_an_earlier_version_is_neither_scored_nor_resumed(text: Path, tmp_path: Path) -> None:
    run = assay.train(write_recipe(tmp_path, text, "train.budget=2steps"))
    path = checkpoint.find_folder(run.directory.checkpoints, "last")
    weights = {name: torch.full_like(tensor, 3e38) for name, tensor in load_file(path / checkpoint.WEIGHTS).items()}
    save_file(weights, path / checkpoint.WEIGHTS)
    manifest = json.loads((path / checkpoint.MANIFEST).read_text())
    (path / checkpoint.MANIFEST).write_text(json.dumps({**manifest, checkpoint.WEIGHTS: hash_file(path / checkpoint.WEIGHTS)}))
    with pytest.raises(
        NonFiniteLoss, match=r"^validation: the loss of the checkpoint best, step 2 is not finite for .* choose another one"
    ):
        run.score()
    with pytest.raises(
        RunError, match=r"the weights are finite, but not the losses .*, so training cannot go on from it; train the run anew"
    ):
        run.resume("train.budget=4steps")


def test_infinities_that_mean_something_in_a_carried_state_are_no_fault(text: Path, tmp_path: Path) -> None:
    streams = ("model.block.mixer=sparsek", "model.position=none", "batches=streams", "batches.window=16", "batches.size=4")
    assert assay.train(write_recipe(tmp_path, text, *streams, "train.budget=3steps")).status.state == "finished"
