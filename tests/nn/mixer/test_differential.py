import math

import pytest
import torch
from torch import Tensor

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.mixer.differential import DifferentialAttention, DifferentialConfig
from assay.nn.mixer.softmax_attention import attend
from nn.mixer.plain import WIDTH, T, X, built, where

H, K = 4, 4
SEEN = torch.ones(T, T).tril().bool()


def mixer_of(layer: int = 0, **settings: object) -> DifferentialAttention:
    mixer = built(DifferentialConfig.make({"heads": H, **settings}), layer)
    assert isinstance(mixer, DifferentialAttention)
    return mixer


def heads_of(mixer: DifferentialAttention) -> tuple[Tensor, ...]:
    """q1, q2, k1, k2 [B, H, T, K] and v [B, H, T, 2K]."""
    q, k, v = mixer.project(X).split(WIDTH, dim=-1)
    q1, q2, k1, k2 = (part.unflatten(-1, (H, K)).transpose(1, 2) for half in (q, k) for part in half.chunk(2, dim=-1))
    return q1, q2, k1, k2, v.unflatten(-1, (H, 2 * K)).transpose(1, 2)


def weights(q: Tensor, k: Tensor) -> Tensor:
    return (q @ k.mT / K**0.5).masked_fill(~SEEN, -torch.inf).softmax(-1)


def test_it_is_its_equation() -> None:
    mixer = mixer_of()
    q1, q2, k1, k2, v = heads_of(mixer)
    a1, b1, a2, b2 = mixer.vectors.weight.detach()
    scale = math.exp(float(a1 @ b1)) - math.exp(float(a2 @ b2)) + 0.2
    difference = weights(q1, k1) - scale * weights(q2, k2)
    torch.testing.assert_close(difference.sum(-1), torch.full((2, H, T), 1 - scale, dtype=torch.float64))
    o = difference @ v
    o = 0.8 * o / (o.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(mixer(X, None, where())[0], mixer.output(o.transpose(1, 2).flatten(2)))


def test_without_lambda_and_norm_it_is_attention_with_values_twice_as_large() -> None:
    mixer = mixer_of(lambda_init=0.0)
    with torch.no_grad():
        mixer.vectors.weight.zero_()  # exp(0) - exp(0) + 0
    mixer.norm = torch.nn.Identity()
    q1, _, k1, _, v = heads_of(mixer)
    expected = mixer.output(attend(q1, k1, v, None, None, 0.0).transpose(1, 2).flatten(2))
    torch.testing.assert_close(mixer(X, None, where())[0], expected)


def test_equal_maps_leave_one_minus_lambda_of_one() -> None:
    mixer = mixer_of(lambda_init=0.5)
    with torch.no_grad():
        for begin in (0, WIDTH):
            mixer.project.weight[begin + WIDTH // 2 : begin + WIDTH] = mixer.project.weight[begin : begin + WIDTH // 2]
    mixer.norm = torch.nn.Identity()
    q1, _, k1, _, v = heads_of(mixer)
    o = attend(q1, k1, v, None, None, 0.0) * (1 - mixer.scale) * 0.5  # the last factor is 1 - lambda_0
    torch.testing.assert_close(mixer(X, None, where())[0], mixer.output(o.transpose(1, 2).flatten(2)))


@pytest.mark.parametrize(("layer", "expected"), [(0, 0.2), (1, 0.3555), (3, 0.5561), (7, 0.7265)])
def test_lambda_begins_larger_in_higher_layers(layer: int, expected: float) -> None:
    assert mixer_of(layer).lambda_init == pytest.approx(expected, abs=1e-4)


def test_every_layer_of_a_model_has_its_own_start() -> None:
    model = DecoderConfig.make({"width": WIDTH, "depth": 3, "block": {"mixer": {"kind": "differential"}}}).build(11, torch.Generator())
    starts = [module.lambda_init for module in model.modules() if isinstance(module, DifferentialAttention)]
    assert starts == pytest.approx([0.8 - 0.6 * math.exp(-0.3 * layer) for layer in range(3)])


def test_its_parameters_are_those_of_full_attention_and_a_few() -> None:
    mixer = DifferentialConfig(heads=H).build(WIDTH)
    assert sum(p.numel() for p in mixer.parameters()) == 4 * WIDTH**2 + 4 * K + 2 * K


def test_the_norm_is_of_each_head() -> None:
    assert mixer_of().norm.width == 2 * K


def test_heads_that_cannot_have_two_maps_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"block\.mixer.heads: 3 heads of two maps each do not divide the width 32"):
        DecoderConfig.make({"width": WIDTH, "block": {"mixer": {"kind": "differential", "heads": 3}}})
