"""Costs by tracing: FLOPs that a formula confirms, and budgets that are counted in them."""

import math
from pathlib import Path

import pytest

from assay.errors import ConfigError
from assay.experiment.config import ExperimentConfig
from assay.models.decoder import DecoderConfig
from assay.objective.base import NextTokenConfig
from assay.training.cost import step_flops
from support.experiment import build, tree_of

VOCABULARY, WIDTH, DEPTH = 100, 32, 3
MODEL = DecoderConfig.make({"kind": "decoder", "width": WIDTH, "depth": DEPTH, "position": "rope", "block": {"mixer": {"heads": 4}}})


def flops(rows: int, window: int) -> int:
    return step_flops(MODEL, NextTokenConfig(), VOCABULARY, (rows, window))


def test_a_step_is_three_forward_passes_of_the_closed_formula() -> None:
    window, rows = 64, 4
    maps = 2 * (12 * WIDTH**2 * DEPTH + VOCABULARY * WIDTH)  # 4 D^2 of attention and 8 D^2 of the feed-forward in each layer
    attention = 4 * window * WIDTH * DEPTH  # as if it were not causal
    assert flops(rows, window) == pytest.approx(
        3 * rows * window * (maps + attention), rel=0.06
    )  # fused attention computes its scores twice


def test_the_cost_of_a_step_is_that_of_its_micro_batches() -> None:
    assert flops(8, 16) == 4 * flops(2, 16)


@pytest.mark.parametrize(("amount", "steps"), [(1.0, 1), (7.0, 7), (7.01, 8), (0.01, 1)])
def test_a_budget_in_flops_is_the_fewest_steps_that_cost_it(text: Path, amount: float, steps: int) -> None:
    config = ExperimentConfig.make(tree_of(text))
    one = step_flops(config.model, config.objective, 257, (config.batches.size, config.batches.window))
    state = build(text, f"train.budget={math.ceil(amount * one)}flops").state
    assert state.steps == steps


def test_a_rhythm_cannot_be_in_flops(text: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.log_every: cannot be 1Gflops.*steps, epochs or tokens"):
        ExperimentConfig.make(tree_of(text, "train.log_every=1Gflops"))
