"""IVON: its equation, gradient descent as its limit, curvature that stays positive, and draws that leave nothing behind."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from assay.nn.linear import ParameterInfo
from assay.optim.ivon import Ivon, IvonConfig
from assay.training.loop import train_step
from optim.quadratic import FACTORS, START, parameter, slope, steps
from support.experiment import build, write_text


def noise(seed: int) -> float:
    """What a single weight is moved by in a step, in standard deviations."""
    return float(torch.randn(1, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


@pytest.mark.parametrize("limit", [0.0, 0.05])
def test_three_steps_on_a_quadratic_follow_the_equation(limit: float) -> None:
    lr, b1, b2, decay, h0, ess = 0.1, 0.8, 0.7, 0.05, 0.6, 20.0
    config = IvonConfig(lr=lr, beta1=b1, beta2=b2, weight_decay=decay, curvature=h0, ess=ess, limit=limit)
    m, h, u, clipped = START, h0, 0.0, False
    for step, (factor, found) in enumerate(zip(FACTORS, steps(config), strict=True)):
        moved = noise(step) / math.sqrt(ess * (h + decay))
        g = slope(m + moved)
        c = ess * (h + decay) * moved * g
        u = b1 * u + (1 - b1) * g
        h = b2 * h + (1 - b2) * c + (1 - b2) ** 2 * (h - c) ** 2 / (2 * (h + decay))
        move = (u / (1 - b1 ** (step + 1)) + decay * m) / (h + decay)
        clipped |= abs(move) > limit > 0
        m -= factor * lr * (h0 + decay) * (max(-limit, min(limit, move)) if limit else move)
        assert found == pytest.approx(m, rel=1e-12)
    assert clipped == (limit > 0)


def test_without_noise_and_with_curvature_that_stays_it_is_gradient_descent_with_momentum() -> None:
    lr, b1, decay = 0.1, 0.8, 0.3
    w, u = START, 0.0
    config = IvonConfig(lr=lr, beta1=b1, beta2=1.0, weight_decay=decay, curvature=0.7, ess=1e38)
    for t, (factor, found) in enumerate(zip(FACTORS, steps(config), strict=True), start=1):
        u = b1 * u + (1 - b1) * slope(w)
        w -= factor * lr * (u / (1 - b1**t) + decay * w)
        assert found == pytest.approx(w, rel=1e-12)


def test_the_curvature_of_a_quadratic_is_found() -> None:
    given = [parameter([START] * 50)]
    optimizer = IvonConfig(lr=0.1, beta2=0.98, weight_decay=0.0, curvature=1.0, ess=100.0).build(given)
    found = []
    for seed in range(800):
        with optimizer.use_sampled_weights(seed):
            given[0].tensor.grad = (3 * given[0].tensor - 1).detach()
        optimizer.step(1.0)
        found.append(float(part(optimizer).state[given[0].tensor]["scale"].mean()))
    assert sum(found[400:]) / 400 == pytest.approx(3.0, rel=0.1)
    assert float(given[0].tensor.detach().mean()) == pytest.approx(1 / 3, abs=0.05)


def part(optimizer: Any) -> Ivon:
    (found,) = optimizer.parts.values()
    assert isinstance(found, Ivon)
    return found


def test_curvature_and_decay_stay_positive_in_ten_thousand_random_steps() -> None:
    given = ParameterInfo("w", nn.Parameter(torch.ones(2, 8)), "matrix", (2,))
    optimizer = IvonConfig(lr=1e-3, beta2=0.5, weight_decay=0.1, curvature=0.01, ess=10.0).build([given])
    generator, least = torch.Generator().manual_seed(0), math.inf
    for seed in range(10_000):
        with optimizer.use_sampled_weights(seed):
            given.tensor.grad = torch.randn(2, 8, generator=generator) * 10 ** (seed % 5 - 2)
        optimizer.step(1.0)
        scale: Tensor = part(optimizer).state[given.tensor]["scale"]
        least = min(least, float(scale.min()))
    assert 0 < least < 0.1  # the estimates of the curvature itself, less the decay, were negative at times
    assert torch.isfinite(given.tensor).all()


def test_all_micro_batches_of_a_step_see_one_draw_and_two_steps_see_two(tmp_path: Path) -> None:
    experiment = build(write_text(tmp_path), "optimizer=ivon", "train.accumulation=2", "optimizer.ess=100")
    seen: list[Tensor] = []
    learner = experiment.state.learner
    learner.register_forward_pre_hook(lambda module, given: seen.append(nn.utils.parameters_to_vector(module.parameters()).detach()))
    means = []
    for _ in range(2):
        means.append(nn.utils.parameters_to_vector(learner.parameters()).detach())
        train_step(experiment.state, experiment.setup)
    first, second, third, fourth = seen
    assert torch.equal(first, second)
    assert torch.equal(third, fourth)
    assert ((first - means[0]).abs() > 0).float().mean() > 0.99
    assert not torch.allclose(first - means[0], third - means[1], rtol=0.1)


def test_draws_are_a_function_of_the_seed_and_leave_torch_s_own_stream_alone() -> None:
    given = [parameter([1.0, 2.0]), parameter([3.0], "vector")]
    optimizer = IvonConfig().build(given)
    before = torch.get_rng_state()

    def draw(seed: int) -> Tensor:
        with optimizer.use_sampled_weights(seed):
            return torch.cat([each.tensor.detach().clone() for each in given], dim=1)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert torch.equal(before, torch.get_rng_state())


def test_the_means_are_restored_exactly_even_if_the_step_fails() -> None:
    given = [ParameterInfo("w", nn.Parameter(torch.randn(5, 7, generator=torch.Generator().manual_seed(0))), "matrix", (5,))]
    mean = given[0].tensor.detach().clone()
    optimizer = IvonConfig().build(given)

    def fail() -> None:
        with optimizer.use_sampled_weights(0):
            assert not torch.equal(mean, given[0].tensor)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert torch.equal(mean, given[0].tensor)


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    used, idle = parameter([1.0]), parameter([1.0])
    optimizer = IvonConfig().build([used, idle])
    with optimizer.use_sampled_weights(0):
        used.tensor.grad = torch.ones_like(used.tensor)
    optimizer.step(1.0)
    assert used.tensor.item() != 1.0
    assert idle.tensor.item() == 1.0
    assert part(optimizer).state[idle.tensor]["step"] == 0


def test_a_gradient_from_outside_a_draw_is_refused() -> None:
    given = parameter([1.0])
    optimizer = IvonConfig().build([given])
    given.tensor.grad = torch.ones_like(given.tensor)
    with pytest.raises(RuntimeError, match="inside sample_weights"):
        optimizer.step(1.0)


def test_a_smaller_sample_is_a_wider_draw() -> None:
    def width(ess: float) -> float:
        given = parameter([0.0] * 1000)
        with IvonConfig(ess=ess, curvature=0.5, weight_decay=0.0).build([given]).use_sampled_weights(0):
            return float(given.tensor.detach().std())

    assert width(100.0) == pytest.approx(1 / math.sqrt(50), rel=0.1)
    assert width(100.0) == pytest.approx(10 * width(10_000.0))
