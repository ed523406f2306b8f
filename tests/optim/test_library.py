"""The bridge to pytorch-optimizer: what is handed over, and what is refused before training begins."""

import re
import sys
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from assay.core.install import write_assay_line
from assay.errors import ConfigError
from assay.nn.linear import ParameterInfo
from assay.optim.base import Optimizer
from assay.optim.library import LibraryConfig
from optim.quadratic import step_with

pytest.importorskip("pytorch_optimizer")


def parameters() -> list[ParameterInfo]:
    matrix = nn.Parameter(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)))
    return [ParameterInfo("w", matrix, "matrix", (6,)), ParameterInfo("b", nn.Parameter(torch.ones(6)), "vector", ())]


def gradients(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(6, 5, generator=generator), torch.randn(6, generator=generator)]


def built(name: str, **settings: Any) -> tuple[list[ParameterInfo], Optimizer]:
    given = parameters()
    return given, LibraryConfig.make({"name": name, **settings}).build(given)


def test_the_lion_of_the_library_is_ours() -> None:
    from assay.optim.lion import LionConfig  # noqa: PLC0415

    given, optimizer = built("lion", lr=0.01, weight_decay=0.3, options={"weight_decouple": True, "betas": [0.8, 0.9]})
    own = parameters()
    ours = LionConfig(lr=0.01, weight_decay=0.3, beta1=0.8, beta2=0.9).build(own)
    for seed in range(3):
        step_with(optimizer, given, gradients(seed), 1 / (1 + seed))
        step_with(ours, own, gradients(seed), 1 / (1 + seed))
    for theirs, mine in zip(given, own, strict=True):
        torch.testing.assert_close(theirs.tensor, mine.tensor)


def test_groups_by_role_and_options_reach_it() -> None:
    _, optimizer = built("soap", lr=0.02, weight_decay=0.3, rates={"vector": 0.5}, options={"precondition_frequency": 3})
    matrix, vector = optimizer.parts["soap"].param_groups
    assert (matrix["lr"], matrix["weight_decay"], matrix["precondition_frequency"]) == (0.02, 0.3, 3)
    assert (vector["lr"], vector["weight_decay"]) == (0.01, 0.0)
    assert optimizer.learning_rates(0.5) == {"soap": 0.01}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "soapy"}, r"optimizer.name: 'soapy' is not in the package pytorch-optimizer; did you mean 'soap'\?"),
        ({"name": "zzzzzz"}, r"known are: .*ademamix, adopt, .*soap"),
        ({"options": {"beta": 1}}, r"optimizer.options.beta: is no option of 'soap', which has betas, .*precondition_frequency"),
        ({"options": {"lr": 1}}, r"optimizer.options.lr: is a setting of its own; write optimizer.lr"),
        (
            {"options": {"betas": [2.0, 0.9]}},
            r"optimizer.name: 'soap' cannot be used here: .*beta.* \(change optimizer.options, or choose another\)",
        ),
        ({"name": "gravity"}, r"optimizer.weight_decay: = 0.1, and 'gravity' has none; set it to 0"),
        ({"name": "alig", "weight_decay": 0.0}, r"'alig' (cannot be used here: it computes the loss itself|has no learning rate)"),
        ({"name": "lbfgs", "weight_decay": 0.0}, r"'lbfgs' cannot be used here"),
        ({"name": "sophiah"}, r"'sophiah' cannot be used here: it needs second derivatives"),
        ({"name": "muon"}, r"'muon' cannot be used here: .* optimizer=muon does what it does"),
        ({"name": "adammini"}, r"'adammini' wants the model itself"),
        ({"name": "scion"}, r"'scion' cannot be used here: its state holds more than tensors and numbers"),
        ({"name": "ranger21"}, r"'ranger21' cannot be used here: .*num_iterations"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LibraryConfig.make(settings).build(parameters())


def test_an_option_that_it_must_have_can_be_given() -> None:
    given, optimizer = built("ranger21", options={"num_iterations": 10})
    step_with(optimizer, given, gradients(0))
    assert not torch.equal(given[0].tensor, parameters()[0].tensor)


def test_without_the_package_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(ConfigError, match=re.escape(write_assay_line("optimizers"))):
        LibraryConfig().build(parameters())


def test_a_description_tells_the_state_of_a_first_step() -> None:
    given, optimizer = built("soap")
    step_with(optimizer, given, gradients(0))
    kept = [leaf for leaf in tree_leaves(dict(optimizer.parts["soap"].state)) if isinstance(leaf, torch.Tensor)]
    with FakeTensorMode():
        fake = [each._replace(tensor=nn.Parameter(torch.empty(each.tensor.shape))) for each in parameters()]
        told = LibraryConfig(name="soap").state_bytes(fake)
        unknown = LibraryConfig(name="prodigy").state_bytes(fake)
    assert told == sum(4 * tensor.numel() for tensor in kept) == 8 * 36 + 4 * 2 * (36 + 25)  # moments, and two squares for each side
    assert unknown == 8 * 36


def test_trial_steps_leave_torch_s_random_stream_alone() -> None:
    before = torch.get_rng_state()
    built("soap")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["schedulefreeadamw", "splus"])
def test_an_average_of_the_library_is_scored_and_leaves_no_trace(name: str) -> None:
    given, optimizer = built(name)
    with optimizer.use_averaged_weights():  # before the first step there is none
        assert torch.equal(given[0].tensor, parameters()[0].tensor)
    looked, watched = built(name)
    for seed in range(4):
        step_with(optimizer, given, gradients(seed))
        step_with(watched, looked, gradients(seed))
        trained = looked[0].tensor.detach().clone()
        with watched.use_averaged_weights():
            averaged = looked[0].tensor.detach().clone()
    assert (averaged - trained).abs().max() > 1e-4
    for one, other in zip(given, looked, strict=True):
        assert torch.equal(one.tensor, other.tensor)
