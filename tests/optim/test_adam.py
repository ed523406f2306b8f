"""Adam with a penalty: its equation, and in what it differs from AdamW."""

import math

import pytest

from assay.optim.adam import AdamConfig
from assay.optim.adamw import AdamwConfig
from optim.quadratic import FACTORS, START, slope, steps


def test_three_steps_on_a_quadratic_follow_the_equation() -> None:
    lr, b1, b2, eps, decay = 0.1, 0.8, 0.95, 1e-3, 0.5
    config = AdamConfig(lr=lr, beta1=b1, beta2=b2, eps=eps, weight_decay=decay)
    w, m, v = START, 0.0, 0.0
    for t, (factor, found) in enumerate(zip(FACTORS, steps(config), strict=True), start=1):
        g = slope(w) + decay * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w -= factor * lr * m / (1 - b1**t) / (math.sqrt(v / (1 - b2**t)) + eps)
        assert found == pytest.approx(w, rel=1e-13)


def test_it_is_adamw_without_decay_and_differs_with_it() -> None:
    assert list(steps(AdamConfig(lr=0.01, weight_decay=0.0))) == list(steps(AdamwConfig(lr=0.01, weight_decay=0.0)))
    plain, apart = list(steps(AdamConfig(lr=0.01, weight_decay=0.5))), list(steps(AdamwConfig(lr=0.01, weight_decay=0.5)))
    assert all(abs(one - other) > 1e-5 for one, other in zip(plain, apart, strict=True))


def test_it_goes_down_a_quadratic() -> None:
    *_, last = steps(AdamConfig(lr=0.1, weight_decay=0.0), [1.0] * 300)
    assert last == pytest.approx(1 / 3, abs=0.02)
