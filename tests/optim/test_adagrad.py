"""Adagrad: its equation, and steps that fall with the root of their number."""

import math

import pytest

from assay.optim.adagrad import AdagradConfig
from optim.quadratic import FACTORS, START, parameter, slope, step_with, steps


def test_three_steps_on_a_quadratic_follow_the_equation() -> None:
    lr, initial, eps, decay = 0.1, 0.2, 1e-3, 0.5
    w, s = START, initial
    config = AdagradConfig(lr=lr, initial=initial, eps=eps, weight_decay=decay)
    for factor, found in zip(FACTORS, steps(config), strict=True):
        g = slope(w) + decay * w
        s += g * g
        w -= factor * lr * g / (math.sqrt(s) + eps)
        assert found == pytest.approx(w, rel=1e-13)


def test_steps_of_a_constant_gradient_fall_with_the_root_of_their_number() -> None:
    given = parameter([0.0])
    optimizer = AdagradConfig(lr=0.1, weight_decay=0.0).build([given])
    for t in range(1, 17):
        before = given.tensor.item()
        step_with(optimizer, [given], [given.tensor.detach() * 0 + 5.0])
        assert before - given.tensor.item() == pytest.approx(0.1 / math.sqrt(t))


def test_it_goes_down_a_quadratic() -> None:
    *_, last = steps(AdagradConfig(lr=0.5, weight_decay=0.0), [1.0] * 200)
    assert last == pytest.approx(1 / 3, abs=1e-3)
