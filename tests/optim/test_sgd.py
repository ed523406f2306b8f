"""Gradient descent: its equation, torch's numbers, and momentum that looks ahead."""

import pytest
import torch
from torch import nn

from assay.errors import ConfigError
from assay.nn.linear import Parameter
from assay.optim.sgd import SgdConfig
from optim.quadratic import FACTORS, START, slope, step_with, steps


@pytest.mark.parametrize("nesterov", [False, True])
def test_three_steps_on_a_quadratic_follow_the_equation(nesterov: bool) -> None:
    lr, momentum, decay = 0.1, 0.8, 0.3
    w, m = START, 0.0
    config = SgdConfig(lr=lr, momentum=momentum, weight_decay=decay, nesterov=nesterov)
    for factor, found in zip(FACTORS, steps(config), strict=True):
        g = slope(w) + decay * w
        m = momentum * m + g
        w -= factor * lr * (g + momentum * m if nesterov else m)
        assert found == pytest.approx(w, rel=1e-13)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_it_equals_torch(momentum: float) -> None:
    ours, theirs = nn.Parameter(torch.ones(5, 7)), nn.Parameter(torch.ones(5, 7))
    given = [Parameter("w", ours, "matrix", (5,))]
    optimizer = SgdConfig(lr=0.02, momentum=momentum, weight_decay=0.3).build(given)
    reference = torch.optim.SGD([theirs], lr=0.02, momentum=momentum, weight_decay=0.3)
    for seed in range(3):
        gradient = torch.randn(5, 7, generator=torch.Generator().manual_seed(seed))
        theirs.grad = gradient.clone()
        step_with(optimizer, given, [gradient])
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_it_goes_down_a_quadratic() -> None:
    *_, last = steps(SgdConfig(lr=0.1, momentum=0.5, weight_decay=0.0), [1.0] * 60)
    assert last == pytest.approx(1 / 3, abs=1e-6)


def test_looking_ahead_along_no_momentum_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"nesterov: looks ahead along the momentum, and that is 0"):
        SgdConfig(momentum=0.0, nesterov=True)


def test_it_keeps_nothing_without_momentum() -> None:
    given = [Parameter("w", nn.Parameter(torch.ones(5, 7)), "matrix", (5,))]
    assert (SgdConfig(momentum=0.0).state_bytes(given), SgdConfig().state_bytes(given)) == (0, 4 * 35)
