"""The moving average of the weights: its arithmetic, and that training does not see it."""

from pathlib import Path

import pytest
import torch
from torch import nn

from assay.training.loop import train_step
from assay.training.state import WeightAverage
from support.experiment import DROPOUT, build


def line(value: float) -> nn.Linear:
    """A map of one number whose weight is `value`."""
    made = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(made.weight, value)
    return made


def test_an_average_is_what_the_formula_says() -> None:
    model = line(1.0)
    average, expected = WeightAverage(model, 0.25), 1.0
    for step, value in enumerate((3.0, 5.0, -2.0, 4.0)):
        nn.init.constant_(model.weight, value)
        average.update(step)
        decay = min(0.25, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert float(average.weights["weight"]) == pytest.approx(expected, rel=1e-12)


def test_an_average_stands_in_place_of_the_weights_and_gives_way_again() -> None:
    model = line(1.0)
    average = WeightAverage(model, 0.5)
    nn.init.constant_(model.weight, 9.0)
    with average.use_average():
        assert model.weight.item() == 1.0
    assert model.weight.item() == 9.0
    with pytest.raises(ValueError, match="inside"), average.use_average():
        raise ValueError("inside")
    assert model.weight.item() == 9.0


def test_training_does_not_see_the_average(text: Path) -> None:
    plain, averaged = build(text, *DROPOUT), build(text, *DROPOUT, "train.ema=0.5")
    for _ in range(4):
        train_step(plain.state, plain.setup)
        train_step(averaged.state, averaged.setup)
    assert plain.state.weight_average is None
    assert averaged.state.weight_average is not None
    theirs = averaged.state.learner.model.state_dict()
    for name, tensor in plain.state.learner.model.state_dict().items():
        assert torch.equal(tensor, theirs[name])
    moved = averaged.state.weight_average.weights["embedding.weight"] - theirs["embedding.weight"]
    assert 0 < float(moved.abs().max()) < 0.1
