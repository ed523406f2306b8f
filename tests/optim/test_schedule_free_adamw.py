"""Schedule-free AdamW: its three sequences by hand, and an average that stands in without leaving a trace."""

import io
import math
from typing import Any

import pytest
import torch
from torch import nn

from assay.nn.linear import ParameterInfo
from assay.optim.base import Optimizer
from assay.optim.schedule_free_adamw import ScheduleFreeAdamwConfig
from optim.quadratic import FACTORS, START, parameter, slope, step_with, steps


def test_steps_on_a_quadratic_follow_the_equation() -> None:
    lr, b1, b2, eps, decay = 0.1, 0.8, 0.9, 1e-3, 0.5
    config = ScheduleFreeAdamwConfig(lr=lr, beta1=b1, beta2=b2, eps=eps, weight_decay=decay)
    x = y = z = START
    v = largest = weights = 0.0
    for t, (factor, found) in enumerate(zip(FACTORS, steps(config), strict=True), start=1):
        g = slope(y)
        v = b2 * v + (1 - b2) * g * g
        z -= factor * lr * (g / (math.sqrt(v / (1 - b2**t)) + eps) + decay * y)
        largest = max(largest, factor * lr)
        weights += largest**2
        x += largest**2 / weights * (z - x)
        y = (1 - b1) * z + b1 * x
        assert found == pytest.approx(y, rel=1e-13)


def test_steps_of_a_constant_rate_are_averaged_alike_and_those_of_a_warm_up_count_less() -> None:
    def average(factors: list[float]) -> tuple[float, list[float]]:
        given = parameter([0.0])
        optimizer = ScheduleFreeAdamwConfig(lr=0.1, weight_decay=0.0).build([given])
        (part,) = optimizer.parts.values()
        visited = []
        for factor in factors:
            step_with(optimizer, [given], [torch.ones_like(given.tensor)], factor)
            visited.append(float(part.state[given.tensor]["z"]))
        return float(part.state[given.tensor]["x"]), visited

    found, visited = average([1.0] * 5)
    assert found == pytest.approx(sum(visited) / 5)
    found, visited = average([0.5, 1.0, 0.1])  # whose largest rates so far are as 1 : 2 : 2
    assert found == pytest.approx((visited[0] + 4 * visited[1] + 4 * visited[2]) / 9)


def test_a_first_rate_of_zero_does_no_harm() -> None:
    assert next(steps(ScheduleFreeAdamwConfig(), (0.0, 1.0))) == START


def trained(count: int) -> tuple[ParameterInfo, Optimizer]:
    given = ParameterInfo("w", nn.Parameter(torch.ones(6, 5)), "matrix", (6,))
    optimizer = ScheduleFreeAdamwConfig(lr=0.05).build([given])
    more(given, optimizer, range(count))
    return given, optimizer


def more(given: ParameterInfo, optimizer: Optimizer, which: range) -> None:
    for seed in which:
        step_with(optimizer, [given], [torch.randn(6, 5, generator=torch.Generator().manual_seed(seed))])


def test_the_weights_that_are_scored_are_others_and_training_goes_on_as_if_nobody_had_looked() -> None:
    given, optimizer = trained(3)
    training = given.tensor.detach().clone()
    with optimizer.use_averaged_weights():
        scored = given.tensor.detach().clone()
    assert torch.equal(training, given.tensor)
    assert (scored - training).abs().max() > 1e-3
    undisturbed = trained(6)[0]
    more(given, optimizer, range(3, 6))
    assert torch.equal(given.tensor, undisturbed.tensor)


def test_they_are_restored_even_if_scoring_fails() -> None:
    given, optimizer = trained(3)
    training = given.tensor.detach().clone()

    def fail() -> None:
        with optimizer.use_averaged_weights():
            given.tensor.data.zero_()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert torch.equal(training, given.tensor)


def test_before_the_first_step_the_average_is_the_weights() -> None:
    given, optimizer = trained(0)
    with optimizer.use_averaged_weights():
        assert torch.equal(given.tensor, torch.ones(6, 5))


def test_a_checkpoint_of_the_average_goes_on_at_the_point_between() -> None:
    given, optimizer = trained(3)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    resumed, other = trained(0)
    with optimizer.use_averaged_weights():
        resumed.tensor.data.copy_(given.tensor)  # what a checkpoint saves as the model
    state: Any = torch.load(file, weights_only=True)
    other.load_state_dict(state)
    assert torch.equal(resumed.tensor, given.tensor)
    for each in ((given, optimizer), (resumed, other)):
        more(*each, range(3, 6))
    assert torch.equal(resumed.tensor, given.tensor)


def test_the_average_goes_down_a_quadratic_without_a_schedule() -> None:
    given = parameter([START])
    optimizer = ScheduleFreeAdamwConfig(lr=0.05, weight_decay=0.0).build([given])
    generator = torch.Generator().manual_seed(0)
    for _ in range(600):
        step_with(optimizer, [given], [3 * given.tensor.detach() - 1 + torch.randn(1, 1, generator=generator, dtype=torch.float64)])
    (part,) = optimizer.parts.values()
    last = float(part.state[given.tensor]["z"])
    with optimizer.use_averaged_weights():
        assert given.tensor.item() == pytest.approx(1 / 3, abs=0.1)
        assert abs(given.tensor.item() - 1 / 3) < abs(last - 1 / 3)  # by averaging, not by small steps
