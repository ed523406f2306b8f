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
from assay.optim.schedule import Schedule
from assay.tools.lr_range import (
    DIVERGENCE_RATIO,
    SUGGESTION_DIVISOR,
    ExponentialMean,
    FactorRange,
    RangePoint,
    find_learning_rates,
    measure_losses,
    summarize_points,
)
from assay.tools.schedule import build_optimizer
from assay.training.loop import train_step
from support.experiment import build, write_text

SWEEP = FactorRange(0.01, 100.0, 41)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return write_text(tmp_path)


def valley(loss: Callable[[float], float], steps: int = 41) -> list[RangePoint]:
    """Points whose loss is a function of the decimal logarithm of the factor, which runs from -2 to 2."""
    factors = [replace(SWEEP, steps=steps).factor(step) for step in range(steps)]
    return [RangePoint(factor, loss(math.log10(factor)), loss(math.log10(factor))) for factor in factors]


def test_factors_rise_by_the_same_ratio_from_the_first_to_the_last() -> None:
    factors = [SWEEP.factor(step) for step in range(SWEEP.steps)]
    assert (factors[0], factors[-1]) == pytest.approx((0.01, 100))
    assert [after / before for before, after in pairwise(factors)] == pytest.approx([10**0.1] * 40)


@pytest.mark.parametrize(
    ("low", "high", "steps", "words"),
    [
        (1, 1, 10, "--from 1 --to 1"),
        (2, 1, 10, "--from 2 --to 1"),
        (0, 1, 10, "above 0"),
        (math.nan, 1, 10, "above 0"),
        (1, math.inf, 10, "--to inf"),
        (1, 2, 1, "--steps 1"),
    ],
)
def test_a_range_that_is_none_is_refused(low: float, high: float, steps: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        FactorRange(low, high, steps)


def test_the_mean_is_not_drawn_to_zero_at_the_beginning() -> None:
    mean = ExponentialMean(0.9)
    assert mean.add(5.0) == pytest.approx(5.0)
    assert mean.add(7.0) == pytest.approx((0.9 * 5 + 7) / 1.9)
    assert [mean.add(3.0) for _ in range(300)][-1] == pytest.approx(3.0)


def test_the_suggestion_is_a_tenth_of_the_factor_of_the_lowest_loss() -> None:
    found = summarize_points(valley(lambda x: (x - 0.5) ** 2))
    assert found is not None
    assert found.lowest.factor == pytest.approx(10**0.5)
    assert found.suggested_factor == pytest.approx(10**0.5 / SUGGESTION_DIVISOR)
    assert "a tenth" in found.explanation


def test_the_steepest_place_is_where_the_loss_falls_most_before_its_lowest() -> None:
    found = summarize_points(valley(lambda x: -math.tanh(3 * (x + 1)) + max(0.0, x) ** 2))
    assert found is not None
    assert math.log10(found.steepest.factor) == pytest.approx(-1, abs=0.11)


def test_nothing_is_suggested_where_the_loss_only_falls_only_rises_or_is_hardly_measured() -> None:
    falls, rises = summarize_points(valley(lambda x: -x)), summarize_points(valley(lambda x: x))
    assert falls is not None
    assert rises is not None
    assert (falls.suggested_factor, rises.suggested_factor) == (None, None)
    assert "--to" in falls.explanation
    assert "--from" in rises.explanation
    assert summarize_points(valley(lambda x: x * x, steps=9)) is None


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_updates_are_those_of_the_risen_rates_and_the_loss_is_that_of_the_step_after(text: Path, optimizer: str) -> None:
    sweep, settings = FactorRange(0.5, 2.0, 4), (f"optimizer={optimizer}", "schedule=constant")
    points = list(measure_losses(build(text, *settings), sweep))
    by_hand = build(text, *settings)
    losses = []
    for _ in range(5):
        setup = replace(by_hand.setup, schedule=Schedule(lambda step, _: sweep.factor(step)))
        losses.append(float(train_step(by_hand.state, setup).terms["loss"].mean.value()))
    assert [point.loss for point in points] == losses[1:]
    assert [point.factor for point in points] == pytest.approx([0.5, 0.5 * 4 ** (1 / 3), 0.5 * 4 ** (2 / 3), 2.0])


def test_the_rule_for_the_batch_stays_in_force(text: Path) -> None:
    ruled = ("schedule={kind='constant', batch_rule='linear', reference_batch=8}", "optimizer.lr=0.02")  # batches.size=4
    points, plain = (list(measure_losses(build(text, *settings), FactorRange(0.5, 2.0, 3))) for settings in (ruled, ("optimizer.lr=0.01",)))
    assert [point.loss for point in points] == pytest.approx([point.loss for point in plain], rel=1e-5)


@pytest.mark.parametrize("budget", ["3steps", "1min"])
def test_no_budget_ends_it(text: Path, budget: str) -> None:
    experiment = build(text, f"train.budget={budget}")
    assert len(list(measure_losses(experiment, FactorRange(0.1, 1.0, 8)))) == 8
    assert experiment.state.step == 9


def test_it_ends_early_where_the_loss_diverges(text: Path) -> None:
    points = list(measure_losses(build(text, "optimizer.weight_decay=0"), FactorRange(1.0, 1e6, 60)))
    assert 2 < len(points) < 60
    assert points[-1].smoothed > DIVERGENCE_RATIO * min(point.smoothed for point in points)


def test_it_ends_early_where_the_loss_is_no_number(text: Path) -> None:
    experiment = build(text)
    seen = []
    for point in measure_losses(experiment, FactorRange(0.1, 1.0, 8)):
        seen.append(point)
        if len(seen) == 3:
            with torch.no_grad():
                next(experiment.state.learner.parameters()).fill_(math.nan)
    assert len(seen) == 3


def test_rates_are_found_by_their_keys_in_every_part_of_an_optimiser(text: Path) -> None:
    config = build(text, "optimizer={kind='muon', lr=0.02, rest={lr=0.001}}").config
    assert find_learning_rates(config) == {"optimizer.lr": 0.02, "optimizer.rest.lr": 0.001}


@pytest.mark.parametrize("kind", sorted(FAMILIES["optimizer"].kinds))
def test_every_optimiser_has_rates_that_can_be_tested_and_drawn(text: Path, kind: str) -> None:
    experiment = build(text, f"optimizer={kind}")
    assert find_learning_rates(experiment.config)
    assert build_optimizer(experiment.config).learning_rates(0.5) == experiment.state.optimizer.learning_rates(0.5)
    assert len(list(measure_losses(experiment, FactorRange(1e-3, 1e-2, 3)))) == 3
