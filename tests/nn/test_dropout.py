import pytest
import torch

from assay.nn.dropout import Dropout, LockedDropout, byte_mask, dropout, word_dropout


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


def test_a_locked_mask_is_one_for_all_positions_of_a_row_and_another_for_each_row() -> None:
    torch.manual_seed(3)
    mask = LockedDropout(0.5)(torch.ones(4, 6, 64))
    assert torch.equal(mask, mask[:, :1].expand_as(mask))
    assert all(not torch.equal(mask[0], mask[row]) for row in (1, 2, 3))
    assert set(mask.unique().tolist()) == {0.0, 2.0}


def test_each_call_draws_another_locked_mask() -> None:
    locked, x = LockedDropout(0.5), torch.ones(2, 3, 64)
    assert not torch.equal(locked(x), locked(x))


def test_a_dropped_word_is_dropped_wherever_it_stands_and_whole() -> None:
    torch.manual_seed(3)
    tokens = torch.tensor([[0, 1, 2, 3, 0, 1], [3, 2, 1, 0, 5, 4]])
    y = word_dropout(torch.ones(2, 6, 8), tokens, 6, 0.5)
    assert set(y.unique().tolist()) == {0.0, 2.0}
    for word in range(6):
        assert len(y[tokens == word].unique()) == 1


def test_locked_dropout_leaves_evaluation_alone() -> None:
    x = torch.randn(2, 3, 4)
    assert LockedDropout(0.5).eval()(x) is x
    assert LockedDropout(0.0)(x) is x


@pytest.mark.parametrize("module", [Dropout(0.5), LockedDropout(0.5)])
def test_dropout_compiles_whole(module: Dropout) -> None:
    y = torch.compile(module, backend="eager", fullgraph=True)(torch.ones(50, 4, 50))
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert abs(float(y.mean()) - 1) < 0.05
