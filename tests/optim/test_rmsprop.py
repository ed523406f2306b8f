"""RMSprop: its equation, with and without momentum."""

import math

import pytest
import torch
from torch import nn

from assay.nn.linear import Parameter
from assay.optim.rmsprop import RmspropConfig
from optim.quadratic import FACTORS, START, slope, steps


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_three_steps_on_a_quadratic_follow_the_equation(momentum: float) -> None:
    lr, beta, eps, decay = 0.1, 0.9, 1e-3, 0.5
    w, v, m = START, 0.0, 0.0
    config = RmspropConfig(lr=lr, beta=beta, eps=eps, momentum=momentum, weight_decay=decay)
    for factor, found in zip(FACTORS, steps(config), strict=True):
        g = slope(w) + decay * w
        v = beta * v + (1 - beta) * g * g
        m = momentum * m + g / (math.sqrt(v) + eps)
        w -= factor * lr * m
        assert found == pytest.approx(w, rel=1e-12)


def test_it_goes_down_a_quadratic() -> None:
    *_, last = steps(RmspropConfig(lr=0.02, weight_decay=0.0), [1.0] * 300)
    assert last == pytest.approx(1 / 3, abs=0.05)


def test_momentum_doubles_its_state() -> None:
    given = [Parameter("w", nn.Parameter(torch.ones(5, 7)), "matrix", (5,))]
    assert RmspropConfig(momentum=0.5).state_bytes(given) == 2 * RmspropConfig().state_bytes(given) == 8 * 35
