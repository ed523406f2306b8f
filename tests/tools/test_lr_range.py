"""The range test: rates rise as asked, a loss belongs to the update before it, and the suggestion follows a rule that is told."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from assay.core.config import FAMILIES
from assay.errors import UserError
from assay.optim.schedule.base import Schedule
from assay.tools.lr_range import BELOW_LOWEST, DIVERGED, Mean, Point, Sweep, finding, measure, rates
from assay.tools.schedule import build_optimizer
from assay.training.step import train_step
from support.experiment import build, write_text

SWEEP = Sweep(0.01, 100.0, 41)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return write_text(tmp_path)


def valley(loss: Callable[[float], float], steps: int = 41) -> list[Point]:
    """Points whose loss is a function of the decimal logarithm of the factor, which runs from -2 to 2."""
    factors = [SWEEP._replace(steps=steps).factor(step) for step in range(steps)]
    return [Point(factor, loss(math.log10(factor)), loss(math.log10(factor))) for factor in factors]


def test_factors_rise_by_the_same_ratio_from_the_first_to_the_last() -> None:
    factors = [SWEEP.factor(step) for step in range(SWEEP.steps)]
    assert (factors[0], factors[-1]) == pytest.approx((0.01, 100))
    assert [after / before for before, after in pairwise(factors)] == pytest.approx([10**0.1] * 40)


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        (Sweep(1, 1, 10), "--from 1 --to 1"),
        (Sweep(2, 1, 10), "--from 2 --to 1"),
        (Sweep(0, 1, 10), "above 0"),
        (Sweep(math.nan, 1, 10), "above 0"),
        (Sweep(1, math.inf, 10), "--to inf"),
        (Sweep(1, 2, 1), "--steps 1"),
    ],
    ids=str,
)
def test_a_range_that_is_none_is_refused(sweep: Sweep, words: str) -> None:
    with pytest.raises(UserError, match=words):
        sweep.checked()


def test_the_mean_is_not_drawn_to_zero_at_the_beginning() -> None:
    mean = Mean(0.9)
    assert mean.add(5.0) == pytest.approx(5.0)
    assert mean.add(7.0) == pytest.approx((0.9 * 5 + 7) / 1.9)
    assert [mean.add(3.0) for _ in range(300)][-1] == pytest.approx(3.0)


def test_the_suggestion_is_a_tenth_of_the_factor_of_the_lowest_loss() -> None:
    found = finding(valley(lambda x: (x - 0.5) ** 2))
    assert found is not None
    assert found.lowest.factor == pytest.approx(10**0.5)
    assert found.factor == pytest.approx(10**0.5 / BELOW_LOWEST)
    assert "a tenth" in found.words


def test_the_steepest_place_is_where_the_loss_falls_most_before_its_lowest() -> None:
    found = finding(valley(lambda x: -math.tanh(3 * (x + 1)) + max(0.0, x) ** 2))
    assert found is not None
    assert math.log10(found.steepest.factor) == pytest.approx(-1, abs=0.11)


def test_nothing_is_suggested_where_the_loss_only_falls_only_rises_or_is_hardly_measured() -> None:
    falls, rises = finding(valley(lambda x: -x)), finding(valley(lambda x: x))
    assert falls is not None
    assert rises is not None
    assert (falls.factor, rises.factor) == (None, None)
    assert "--to" in falls.words
    assert "--from" in rises.words
    assert finding(valley(lambda x: x * x, steps=9)) is None


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_updates_are_those_of_the_risen_rates_and_the_loss_is_that_of_the_step_after(text: Path, optimizer: str) -> None:
    sweep, settings = Sweep(0.5, 2.0, 4), (f"optimizer={optimizer}", "schedule=constant")
    points = list(measure(build(text, *settings), sweep))
    by_hand = build(text, *settings)
    losses = []
    for _ in range(5):
        setup = replace(by_hand.setup, schedule=Schedule(lambda step, _: sweep.factor(step)))
        losses.append(float(train_step(by_hand.state, setup).terms["loss"].mean.value()))
    assert [point.loss for point in points] == losses[1:]
    assert [point.factor for point in points] == pytest.approx([0.5, 0.5 * 4 ** (1 / 3), 0.5 * 4 ** (2 / 3), 2.0])


def test_the_rule_for_the_batch_stays_in_force(text: Path) -> None:
    ruled = ("schedule={kind='constant', batch_rule='linear', reference_batch=8}", "optimizer.lr=0.02")  # plan.batch=4
    points, plain = (list(measure(build(text, *settings), Sweep(0.5, 2.0, 3))) for settings in (ruled, ("optimizer.lr=0.01",)))
    assert [point.loss for point in points] == pytest.approx([point.loss for point in plain], rel=1e-5)


@pytest.mark.parametrize("budget", ["3steps", "1min"])
def test_no_budget_ends_it(text: Path, budget: str) -> None:
    experiment = build(text, f"train.budget={budget}")
    assert len(list(measure(experiment, Sweep(0.1, 1.0, 8)))) == 8
    assert experiment.state.step == 9


def test_it_ends_early_where_the_loss_diverges(text: Path) -> None:
    points = list(measure(build(text, "optimizer.weight_decay=0"), Sweep(1.0, 1e6, 60)))
    assert 2 < len(points) < 60
    assert points[-1].smoothed > DIVERGED * min(point.smoothed for point in points)


def test_it_ends_early_where_the_loss_is_no_number(text: Path) -> None:
    experiment = build(text)
    seen = []
    for point in measure(experiment, Sweep(0.1, 1.0, 8)):
        seen.append(point)
        if len(seen) == 3:
            with torch.no_grad():
                next(experiment.state.learner.parameters()).fill_(math.nan)
    assert len(seen) == 3


def test_rates_are_found_by_their_keys_in_every_part_of_an_optimiser(text: Path) -> None:
    config = build(text, "optimizer={kind='muon', lr=0.02, rest={lr=0.001}}").config
    assert rates(config) == {"optimizer.lr": 0.02, "optimizer.rest.lr": 0.001}
    assert rates(config, 0.5) == {"optimizer.lr": 0.01, "optimizer.rest.lr": 0.0005}


@pytest.mark.parametrize("kind", sorted(FAMILIES["optimizer"].kinds))
def test_every_optimiser_has_rates_that_can_be_tested_and_drawn(text: Path, kind: str) -> None:
    experiment = build(text, f"optimizer={kind}")
    assert rates(experiment.config)
    assert build_optimizer(experiment.config).rates(0.5) == experiment.state.optimizer.rates(0.5)
    assert len(list(measure(experiment, Sweep(1e-3, 1e-2, 3)))) == 3
