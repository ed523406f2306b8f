"""Every optimiser, in the tiny experiment: a resumed run equals the uninterrupted one, the loss falls, the state is as large as told."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from assay.core.config import FAMILIES
from assay.experiment.assemble import Experiment
from assay.nn.linear import parameters_by_role
from assay.training.loop import train_step
from support.experiment import build, write_text

VARIANTS = {
    "sgd": ["optimizer.nesterov=true"],
    "adam": [],
    "adamw": ["optimizer.rates={embedding=0.5}"],
    "adagrad": ["optimizer.decay=decoupled"],
    "rmsprop": ["optimizer.momentum=0.5"],
    "lion": [],
    "muon": [],
    "ivon": ["optimizer.beta2=0.9"],
    "schedule_free_adamw": [],
    "library": ["optimizer.name=soap"],
    "library/ademamix": ["optimizer.name=ademamix"],
    "library/prodigy": ["optimizer.name=prodigy", "optimizer.lr=1.0"],
    "library/schedulefreeadamw": ["optimizer.name=schedulefreeadamw"],
    "library/splus": ["optimizer.name=splus", "optimizer.lr=0.1"],
}


def made(text: Path, name: str, *more: str) -> Experiment:
    if name.startswith("library"):
        pytest.importorskip("pytorch_optimizer")
    return build(text, f"optimizer={{kind='{name.partition('/')[0]}'}}", *VARIANTS[name], *more)


def steps(experiment: Experiment, count: int) -> list[float]:
    """The losses of so many further steps."""
    losses = []
    for _ in range(count):
        (term, *_) = train_step(experiment.state, experiment.setup).terms.values()
        losses.append(float(term.mean.value()))
    return losses


def weights(experiment: Experiment) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in experiment.state.learner.model.state_dict().items()}


def through_a_file(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_every_optimizer_is_here_and_has_tests() -> None:
    kinds = FAMILIES["optimizer"].kinds
    assert set(kinds) == {name.partition("/")[0] for name in VARIANTS}
    modules = {kind.__module__.rpartition(".")[2] for kind in kinds.values()}
    assert all((Path(__file__).parent / f"test_{module}.py").is_file() for module in modules)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_resumed_run_is_the_uninterrupted_one(name: str, tmp_path: Path) -> None:
    text = write_text(tmp_path)
    straight = made(text, name)
    steps(straight, 6)
    first, second = made(text, name), made(text, name)
    steps(first, 3)
    with first.state.optimizer.use_averaged_weights():  # as a checkpoint does
        saved = through_a_file(weights(first))
    values = through_a_file(first.state.state_dict())
    second.state.learner.model.load_state_dict(saved)
    second.state.load_state_dict(values)
    steps(second, 3)
    begun = weights(made(text, name))
    for key, weight in weights(straight).items():
        assert torch.equal(weight, weights(second)[key]), key
        assert not torch.equal(weight, begun[key]), key


@pytest.mark.parametrize("name", VARIANTS)
def test_the_loss_falls(name: str, tmp_path: Path) -> None:
    losses = steps(made(write_text(tmp_path), name, "schedule=constant", "schedule.warmup=4"), 30)
    assert sum(losses[-5:]) / 5 < losses[0] - 0.2


@pytest.mark.parametrize("name", [name for name in VARIANTS if not name.startswith("library")])
def test_its_state_is_as_large_as_it_says(name: str, tmp_path: Path) -> None:
    experiment = made(write_text(tmp_path), name)
    steps(experiment, 1)
    parts = experiment.state.optimizer.parts.values()
    tensors = [value for part in parts for state in part.state.values() for value in state.values() if isinstance(value, Tensor)]
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor.ndim)
    assert experiment.config.optimizer.state_bytes(list(parameters_by_role(experiment.state.learner))) == held
