"""Lion: its equation by hand, and the length of its steps."""

import pytest
import torch

from assay.optim.lion import LionConfig
from optim.quadratic import FACTORS, START, parameter, slope, step_with, steps


def test_three_steps_on_a_quadratic_follow_the_equation() -> None:
    lr, b1, b2, decay = 0.8, 0.7, 0.6, 0.3
    w, m, signs = START, 0.0, []
    config = LionConfig(lr=lr, beta1=b1, beta2=b2, weight_decay=decay)
    for factor, found in zip((2.0, *FACTORS), steps(config, (2.0, *FACTORS)), strict=True):
        g = slope(w)
        u = 1.0 if b1 * m + (1 - b1) * g > 0 else -1.0
        signs.append(u)
        w -= factor * lr * (u + decay * w)
        m = b2 * m + (1 - b2) * g
        assert found == pytest.approx(w, rel=1e-13)
    assert set(signs) == {1.0, -1.0}


def test_every_weight_moves_by_the_rate_however_large_its_gradient() -> None:
    given = parameter([1.0, 2.0, 3.0, 4.0])
    optimizer = LionConfig(lr=0.01, weight_decay=0.0).build([given])
    step_with(optimizer, [given], [torch.tensor([[1e-9, -1.0, 1e9, 0.0]], dtype=torch.float64)])
    torch.testing.assert_close(given.tensor.detach(), torch.tensor([[0.99, 2.01, 2.99, 4.0]], dtype=torch.float64))


def test_the_update_and_the_memory_mix_the_gradient_differently() -> None:
    given = parameter([0.0])
    optimizer = LionConfig(lr=1.0, beta1=0.9, beta2=0.5, weight_decay=0.0).build([given])
    step_with(optimizer, [given], [torch.tensor([[1.0]], dtype=torch.float64)])
    step_with(optimizer, [given], [torch.tensor([[-4.0]], dtype=torch.float64)])  # 0.9 * 0.5 - 0.1 * 4 > 0: the sign still holds
    assert given.tensor.item() == -2.0
    step_with(optimizer, [given], [torch.tensor([[0.0]], dtype=torch.float64)])  # but the mean has turned: 0.5 * 0.5 - 0.5 * 4 < 0
    assert given.tensor.item() == -1.0


def test_it_goes_down_a_quadratic() -> None:
    *_, last = steps(LionConfig(lr=0.05, weight_decay=0.0), [1 - t / 200 for t in range(200)])
    assert last == pytest.approx(1 / 3, abs=0.02)
