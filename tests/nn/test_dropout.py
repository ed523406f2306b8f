import pytest
import torch

from assay.nn.dropout import Dropout, byte_mask, dropout


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_the_rate_and_the_mean_are_those_asked_for(p: float) -> None:
    x = torch.ones(400_000, dtype=torch.float64)
    y = dropout(x, p, training=True)
    rate = round(256 * p) / 256
    assert abs(float((y == 0).double().mean()) - rate) < 0.004  # five standard deviations of a rate of 1/2
    assert abs(float(y.mean()) - 1) < 0.03
    assert y.unique().tolist() == pytest.approx([0.0, 1 / (1 - rate)])


@pytest.mark.parametrize("keep", [1, 128, 255])
def test_kept_elements_are_scaled_so_that_the_mean_is_exact(keep: int) -> None:
    mask = byte_mask(torch.empty(1000, dtype=torch.float64), keep)
    assert set(mask.tolist()) <= {0.0, 256 / keep}


def test_every_byte_of_the_words_is_fully_random() -> None:
    """The default range of random_ leaves the sign bit 0, so every eighth byte would be kept twice as often."""
    kept = (byte_mask(torch.empty(8 * 40_000), 128) > 0).float().view(-1, 8).mean(0)
    assert float((kept - 0.5).abs().max()) < 0.0125  # five standard deviations


def test_elements_are_dropped_independently() -> None:
    kept = (byte_mask(torch.empty(8 * 40_000), 128) > 0).double().view(-1, 8)
    correlation = torch.corrcoef(kept.t()) - torch.eye(8)
    assert float(correlation.abs().max()) < 0.025


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 0, 4), (7, 3, 11)])
def test_any_shape_has_a_mask(shape: tuple[int, ...]) -> None:
    assert byte_mask(torch.empty(shape), 100).shape == shape


def test_a_mask_has_the_type_of_its_tensor() -> None:
    assert byte_mask(torch.empty(9, dtype=torch.bfloat16), 128).dtype == torch.bfloat16


def test_no_rate_and_no_training_are_the_identity() -> None:
    x = torch.randn(5)
    assert dropout(x, 0.0, training=True) is x
    assert dropout(x, 0.5, training=False) is x
    assert Dropout(0.5).eval()(x) is x


def test_a_rate_below_one_in_256_still_drops() -> None:
    assert float((dropout(torch.ones(100_000), 1e-6, training=True) == 0).float().sum()) > 0


def test_a_seed_repeats_its_mask_and_another_does_not() -> None:
    x = torch.ones(256)
    torch.manual_seed(1)
    first = dropout(x, 0.5, training=True)
    torch.manual_seed(1)
    assert torch.equal(dropout(x, 0.5, training=True), first)
    assert not torch.equal(dropout(x, 0.5, training=True), first)


def test_the_gradient_is_the_mask() -> None:
    x = torch.ones(64, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
