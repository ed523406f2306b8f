"""Carried state: training on streams sees what one long pass sees, however a batch is cut, and goes on from what was saved."""

import copy
from pathlib import Path

import pytest
import torch

from assay.core.parallel import Parallel
from assay.experiment.assemble import Experiment
from assay.training.carried_state import CarriedState
from assay.training.loop import train_step
from support.experiment import build

STREAMS = ["batches={kind='streams', window=16, size=4}", "train.precision=float64"]
MODELS = {
    "recurrent": ["model={kind='recurrent', width=16, hidden=[24]}"],
    "block": ["model={kind='decoder', width=16, depth=2, position='none', block={mixer='lstm'}}"],
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> list[str]:
    return [*STREAMS, *MODELS[request.param]]


def flat(experiment: Experiment) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in experiment.state.learner.parameters()])


def test_the_losses_of_an_epoch_are_those_of_one_pass_over_each_stream(text: Path, model: list[str]) -> None:
    experiment = build(text, *model, "optimizer.lr=1e-30")
    batches, learner = experiment.setup.batches, experiment.state.learner
    steps = range(batches.steps_per_epoch)
    losses = [train_step(experiment.state, experiment.setup).terms["loss"].mean for _ in steps]
    total = sum(float(mean.total) for mean in losses)
    rows = [batches.batch_at(step) for step in steps]
    with torch.no_grad():
        expected = 0.0
        for lane in range(4):
            targets = [int(t) for each in rows for t in each.tokens[lane, 1:][each.weight[lane] > 0]]
            likely = learner.model(torch.tensor([[int(rows[0].tokens[lane, 0]), *targets[:-1]]])).logits[0].log_softmax(-1)
            expected -= sum(float(likely[i, target]) for i, target in enumerate(targets))
    assert total == pytest.approx(expected, rel=1e-10)


@pytest.mark.slow
def test_the_update_does_not_depend_on_the_micro_batches(text: Path, model: list[str]) -> None:
    whole, cut = build(text, *model), build(text, *model, "train.accumulation=3")
    for _ in range(whole.setup.batches.steps_per_epoch + 3):  # over the end of an epoch
        train_step(whole.state, whole.setup)
        train_step(cut.state, cut.setup)
    assert float((flat(whole) - flat(cut)).abs().max()) < 1e-9


def test_an_epoch_begins_without_what_the_one_before_left(text: Path, model: list[str]) -> None:
    experiment = build(text, *model)
    steps = experiment.setup.batches.steps_per_epoch
    for _ in range(steps):
        train_step(experiment.state, experiment.setup)
    forgetful = copy.deepcopy(experiment.state)
    forgetful.carried_state = CarriedState()
    train_step(experiment.state, experiment.setup)
    carried = flat(experiment)
    assert experiment.state.step == steps + 1
    other = build(text, *model)
    other.state.learner.load_state_dict(forgetful.learner.state_dict())
    other.state.optimizer.load_state_dict(forgetful.optimizer.state_dict())
    other.state.step = steps
    train_step(other.state, other.setup)
    assert torch.equal(flat(other), carried)


def test_saved_state_goes_on_in_other_micro_batches(text: Path, model: list[str]) -> None:
    straight = build(text, *model)
    for _ in range(5):
        train_step(straight.state, straight.setup)
    leaves = straight.state.carried_state.gather_leaves(Parallel())
    resumed = build(text, *model, "train.accumulation=2")
    resumed.state.learner.load_state_dict(straight.state.learner.state_dict())
    resumed.state.optimizer.load_state_dict(copy.deepcopy(straight.state.optimizer.state_dict()))
    resumed.state.step = 5
    resumed.state.carried_state.load_leaves(leaves)
    lost = copy.deepcopy(leaves)
    again = resumed.state.carried_state.gather_leaves(Parallel())
    assert all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in zip(lost, again, strict=True))
    for _ in range(3):
        train_step(straight.state, straight.setup)
        train_step(resumed.state, resumed.setup)
    assert float((flat(straight) - flat(resumed)).abs().max()) < 1e-9


def test_what_is_carried_changes_the_update(text: Path, model: list[str]) -> None:
    one, other = build(text, *model), build(text, *model)
    for experiment in (one, other):
        train_step(experiment.state, experiment.setup)
    zeros = [leaf * 0 if isinstance(leaf, torch.Tensor) else leaf for leaf in other.state.carried_state.gather_leaves(Parallel())]
    other.state.carried_state.load_leaves(zeros)
    train_step(one.state, one.setup)
    train_step(other.state, other.setup)
    assert not torch.equal(flat(one), flat(other))


def test_no_gradient_reaches_the_step_before(text: Path, model: list[str]) -> None:
    experiment = build(text, *model)
    train_step(experiment.state, experiment.setup)
    leaves = [leaf for leaf in experiment.state.carried_state.gather_leaves(Parallel()) if isinstance(leaf, torch.Tensor)]
    assert leaves
    assert not any(leaf.requires_grad for leaf in leaves)
    assert all(len(leaf) == 4 for leaf in leaves)
