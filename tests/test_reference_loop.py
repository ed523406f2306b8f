"""The product trains as the plain loop of `reference_loop.py` does, bit for bit."""

from pathlib import Path

import pytest
import torch

from assay.experiment.assemble import Experiment
from assay.training.loop import train_step
from support import reference_loop
from support.experiment import build, write_text

RECIPE = reference_loop.Recipe(steps=14, heads=2, lr=0.01, warmup=4, final=0.1, clip=0.5)
OVERRIDES = ["model.depth=2", "train.budget=14steps", "train.clip=0.5"]


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """Training text of 4 steps: three of 64 targets, one of a single row with 16 targets."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    lines = [*(f"{n:02} in the beginning was a word" for n in range(6)), "and it was so at last", "v", "t"]
    text = write_text(tmp_path, lines)
    return build(text, *OVERRIDES, "split={kind='contiguous', validation=0.01, test=0.01}")


def test_the_text_makes_ragged_batches_of_powers_of_two(experiment: Experiment) -> None:
    plan = experiment.setup.batches
    assert [plan.batch_at(step).targets for step in range(plan.steps_per_epoch)] == [64, 64, 64, 16]
    assert plan.batch_at(3).weight.shape == (1, 16)
    assert RECIPE.steps > 3 * plan.steps_per_epoch


def test_every_weight_equals_that_of_the_plain_loop_bit_for_bit(experiment: Experiment) -> None:
    state, setup = experiment.state, experiment.setup
    start = {name: tensor.detach().clone() for name, tensor in state.learner.model.named_parameters()}
    expected, losses = reference_loop.train(start, setup.batches.batch_at, RECIPE)
    clipped = []
    for reference in losses:
        result = train_step(state, setup)
        assert float(result.terms["loss"].mean.value()) == pytest.approx(reference, rel=1e-6)
        clipped.append(float(result.total_norm) > RECIPE.clip)
    assert state.finished
    assert any(clipped)
    weights = dict(state.learner.model.named_parameters())
    assert weights.keys() == expected.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, expected[name]), f"{name} differs by {(tensor - expected[name]).abs().max():.3g}"
        assert not torch.equal(tensor, start[name]), f"{name} was not trained"


def test_a_loop_that_forgets_to_clip_is_told_apart(experiment: Experiment) -> None:
    state, setup = experiment.state, experiment.setup
    start = {name: tensor.detach().clone() for name, tensor in state.learner.model.named_parameters()}
    wrong, _ = reference_loop.train(start, setup.batches.batch_at, RECIPE._replace(clip=1e9))
    while not state.finished:
        train_step(state, setup)
    assert not torch.equal(state.learner.model.get_parameter("embedding.weight"), wrong["embedding.weight"])
