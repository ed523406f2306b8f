"""The gradient noise scale: exact where it can be computed, unbiased where it is estimated."""

from pathlib import Path

import pytest
import torch
from torch import nn

from assay.core.types import Mean
from assay.errors import ConfigError
from assay.training.loop import train_step
from assay.training.noise import NoiseScale
from support.experiment import build


def measured(gradients: list[torch.Tensor], sizes: list[int]) -> Mean:
    """The noise scale of micro-batches whose mean gradients are given."""
    parameter = nn.Parameter(torch.zeros_like(gradients[0]))
    noise, targets = NoiseScale([parameter], float(sum(sizes))), sum(sizes)
    parameter.grad = torch.zeros_like(parameter)
    for gradient, size in zip(gradients, sizes, strict=True):
        parameter.grad += gradient * size / targets
        noise.add_micro_batch(float(size))
    return noise.estimate(parameter.grad.norm())["noise_scale"]


def test_two_micro_batches_give_what_the_formulas_give_by_hand() -> None:
    one, two = torch.tensor([3.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    trace, square = measured([one, two], [10, 30])
    whole = (10 * one + 30 * two) / 40
    expected = ((9.0 + 1.0) / 2 - float(whole.square().sum())) / ((1 / 10 + 1 / 30) / 2 - 1 / 40)
    assert float(trace) == pytest.approx(expected)
    assert float(square) == pytest.approx(float(whole.square().sum()) - expected / 40)


def test_gradients_without_noise_have_the_scale_zero() -> None:
    same = torch.tensor([2.0, -1.0], dtype=torch.float64)
    trace, square = measured([same] * 4, [8] * 4)
    assert float(trace) == pytest.approx(0, abs=1e-12)
    assert float(square) == pytest.approx(5.0)


def test_over_many_steps_the_noise_of_known_size_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    true, sigma, size = torch.full((50,), 0.1, dtype=torch.float64), 0.7, 16
    trace = square = 0.0
    for _ in range(300):
        drawn = [true + sigma * size**-0.5 * torch.randn(50, generator=generator, dtype=torch.float64) for _ in range(4)]
        pair = measured(drawn, [size] * 4)
        trace, square = trace + float(pair.total), square + float(pair.count)
    known = 50 * sigma**2 / float(true.square().sum())
    assert trace / square == pytest.approx(known, rel=0.05)


def test_one_micro_batch_with_targets_tells_nothing() -> None:
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    noise = NoiseScale([parameter], 5.0)
    noise.add_micro_batch(5.0)
    noise.add_micro_batch(0.0)
    assert noise.estimate(parameter.grad.norm()) == {}


def test_a_step_reports_the_scale_and_takes_the_same_update(text: Path) -> None:
    plain, watched = build(text, "train.accumulation=2"), build(text, "train.accumulation=2", "train.noise_scale=true")
    for _ in range(2):
        train_step(plain.state, plain.setup)
        result = train_step(watched.state, watched.setup)
    assert float(result.stats["noise_scale"].value()) > 0
    theirs = watched.state.learner.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in plain.state.learner.state_dict().items())


def test_a_single_micro_batch_is_refused(text: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.noise_scale: compares the gradients of micro-batches; set train\.accumulation"):
        build(text, "train.noise_scale=true")
