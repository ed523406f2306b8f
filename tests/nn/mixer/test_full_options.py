"""Soft cap, learned temperature and value residual."""

import pytest
import torch

from assay.errors import ConfigError
from assay.models.decoder import Decoder, DecoderConfig
from assay.nn.mixer.base import Where
from assay.nn.mixer.full import Full, FullConfig
from assay.nn.position.base import Position

WIDTH, T = 32, 7
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WHERE = Where(0, torch.arange(T).unsqueeze(0), None, Position())
SEEN = torch.ones(T, T).tril().bool()


def built(layer: int = 0, **settings: object) -> Full:
    mixer = FullConfig.make({"heads": 4, **settings}).build(WIDTH, layer)
    assert isinstance(mixer, Full)
    return mixer.double().eval()


def test_a_soft_cap_bounds_the_logits_and_keeps_their_order() -> None:
    mixer = built(soft_cap=2.0)
    q, k, v = mixer.split(5 * X, WHERE)
    scores = 2 * torch.tanh(q @ k.mT / 8**0.5 / 2)
    expected = mixer.join(scores.masked_fill(~SEEN, -torch.inf).softmax(-1) @ v)
    torch.testing.assert_close(mixer(5 * X, None, WHERE)[0], expected)


def test_a_cap_far_above_all_logits_changes_nothing() -> None:
    capped, plain = built(soft_cap=1e6), built()
    plain.load_state_dict(capped.state_dict())
    torch.testing.assert_close(capped(X, None, WHERE)[0], plain(X, None, WHERE)[0])


def test_a_temperature_of_one_changes_nothing_and_another_scales_the_logits_of_its_head() -> None:
    warm, plain = built(temperature=True), built()
    plain.load_state_dict({name: tensor for name, tensor in warm.state_dict().items() if name != "temperature"})
    torch.testing.assert_close(warm(X, None, WHERE)[0], plain(X, None, WHERE)[0])
    with torch.no_grad():
        warm.temperature.fill_(3.0)
        plain.project.weight[:WIDTH] *= 3
        plain.project.bias[:WIDTH] *= 3
    torch.testing.assert_close(warm(X, None, WHERE)[0], plain(X, None, WHERE)[0])


def test_the_values_of_the_first_layer_are_mixed_in_by_halves_at_first() -> None:
    first, later = built(0, value_residual=True), built(1, value_residual=True)
    assert first.share is None
    value = first(2 * X, None, WHERE)[2].value
    assert value is not None
    torch.testing.assert_close(value, first.split(2 * X, WHERE)[2])
    q, k, v = later.split(X, WHERE)
    weights = (q @ k.mT / 8**0.5).masked_fill(~SEEN, -torch.inf).softmax(-1)
    expected = later.join(weights @ (v + value) / 2)
    torch.testing.assert_close(later(X, None, WHERE.with_value(value))[0], expected)


def test_only_the_first_values_are_kept() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    assert WHERE.with_value(one).with_value(two).first_value is one
    assert WHERE.with_value(None).first_value is None


def test_value_residual_among_other_mixers_begins_with_the_first_layer_that_has_it() -> None:
    pattern = [{"mixer": "local"}, {"mixer": {"kind": "full", "heads": 4, "value_residual": True}}]
    config = DecoderConfig.make({"width": WIDTH, "depth": 4, "pattern": pattern, "block": {"mixer": {"heads": 4}}})
    model = config.build(11, torch.Generator().manual_seed(0))
    assert isinstance(model, Decoder)
    model(torch.arange(6).unsqueeze(0)).logits.sum().backward()
    shares = [block.mixer.share.grad for block in model.layers if isinstance(block.mixer, Full)]
    assert shares[0] == 0  # its own values mixed with themselves
    assert shares[1] != 0


def test_values_of_other_heads_are_refused() -> None:
    value = {"kind": "full", "value_residual": True}
    pattern = [{"mixer": {**value, "heads": 4}}, {"mixer": {**value, "heads": 2}}]
    model = DecoderConfig.make({"width": WIDTH, "depth": 2, "pattern": pattern}).build(11, torch.Generator())
    with pytest.raises(ConfigError, match="mixes values of heads of other number or size"):
        model(torch.arange(6).unsqueeze(0))
