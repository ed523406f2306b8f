"""What a family is not asked, a broken kind of it could not break, or another property that it is asked accuses it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from assay.nn.activation import ReluConfig
from assay.nn.feedforward.base import DenseFeedforward
from assay.nn.feedforward.dense import MlpConfig
from assay.nn.init import InitConfig, NormalConfig
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs
from assay.nn.norm import RmsNorm, RmsNormConfig
from assay.nn.residual import InputMixResidual, MixConfig
from properties.deviations import PROPERTIES
from properties.relevant import RELEVANT, is_relevant
from support.kinds import PLAIN, SIDE, Case, case_of, tiny
from support.properties import learning, numerics, sequence, states

MODULES = (sequence, states, learning, numerics)
CHECKS: dict[str, Callable[[Case], None]] = {
    name: getattr(module, name.replace(" ", "_")) for name in PROPERTIES for module in MODULES if hasattr(module, name.replace(" ", "_"))
}


def over_time(self: RmsNorm, x: Tensor) -> Tensor:
    """Normalises the whole text at once."""
    return x / x.square().mean((1, 2), keepdim=True).sqrt() * self.weight


def over_the_past(self: RmsNorm, x: Tensor) -> Tensor:
    """Normalises by the mean square of the positions so far, of this call alone."""
    so_far = x.square().mean(-1).cumsum(1) / torch.arange(1, x.shape[1] + 1)
    return x / so_far.sqrt().unsqueeze(-1) * self.weight


def over_the_last_two(self: RmsNorm, x: Tensor) -> Tensor:
    """Normalises by the mean square of this position and of the one before it in this call."""
    square = x.square().mean(-1, keepdim=True)
    return x / (square + square.roll(1, 1).index_fill(1, torch.tensor(0), 0.0)).sqrt() * self.weight


def over_the_batch(self: RmsNorm, x: Tensor) -> Tensor:
    """Normalises the rows together."""
    return x / x.square().mean((0, 2), keepdim=True).sqrt() * self.weight


def over_the_calls(self: Any, x: Tensor) -> Tensor:
    """Normalises by a running mean square that it keeps to itself."""
    self.kept = 0.9 * getattr(self, "kept", 1.0) + 0.1 * x.detach().square().mean()
    return x / self.kept.sqrt() * self.weight


def softmax_over_time(self: ReluConfig, x: Tensor) -> Tensor:
    """Takes positions for features."""
    return x * x.softmax(1)


def with_a_capacity(self: DenseFeedforward, x: Tensor) -> tuple[Tensor, AuxOutputs]:
    """Works on the first four positions of the call, as an expert that is full leaves the rest out."""
    y = self.contract(self.inner(self.expand(x)))
    return torch.cat([y[:, :4], torch.zeros_like(y[:, 4:])], dim=1), NO_AUX_OUTPUTS


def with_the_first(self: InputMixResidual, x: Tensor, where: Any) -> Tensor:
    """Mixes in the first vector of the call."""
    mixed: Tensor = x + where.embedding[:, :1]
    return mixed


BROKEN = (
    (RmsNorm, "forward", over_time, RmsNormConfig),
    (RmsNorm, "forward", over_the_past, RmsNormConfig),
    (RmsNorm, "forward", over_the_last_two, RmsNormConfig),
    (RmsNorm, "forward", over_the_batch, RmsNormConfig),
    (RmsNorm, "forward", over_the_calls, RmsNormConfig),
    (ReluConfig, "apply", softmax_over_time, ReluConfig),
    (DenseFeedforward, "forward", with_a_capacity, MlpConfig),
    (InputMixResidual, "prepare_input", with_the_first, MixConfig),
)


@pytest.mark.parametrize(("place", "method", "wrong", "leaf"), BROKEN, ids=[wrong.__name__ for _, _, wrong, _ in BROKEN])
def test_a_kind_that_mixes_what_it_should_not_is_accused_by_a_property_that_it_is_asked(
    place: Any, method: str, wrong: Any, leaf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of(tiny(leaf))
    asked = ("causality", "split invariance", "batch invariance")
    for name in asked:
        assert is_relevant(name, case)
        CHECKS[name](case)
    monkeypatch.setattr(place, method, wrong)
    with pytest.raises(AssertionError):  # noqa: PT012  any of them
        for name in asked:
            CHECKS[name](case)


@pytest.mark.parametrize("name", sorted(PROPERTIES - RELEVANT["objective"]))
def test_what_an_objective_is_not_asked_looks_at_the_model_alone(name: str) -> None:
    case = next(case for case in PLAIN if case.family == "objective")
    CHECKS[name](replace(case, objective=None))


@pytest.mark.parametrize("name", sorted(PROPERTIES - RELEVANT["init"]))
@pytest.mark.parametrize("deviation", [0.0, 0.5])
def test_what_an_init_is_not_asked_holds_whatever_it_draws(name: str, deviation: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NormalConfig, "standard_deviation", lambda self, fans: deviation)
    monkeypatch.setattr(InitConfig, "factor", lambda self, multiplier: 0.3)
    CHECKS[name](case_of(tiny(NormalConfig)))


def test_every_family_of_the_suite_is_in_the_table() -> None:
    assert set(RELEVANT) == set(SIDE)
    assert all(names <= PROPERTIES for names in RELEVANT.values())
