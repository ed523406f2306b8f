import pytest
import torch

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.position.base import ModelSizes, rotate
from assay.nn.position.relative import Rope, RopeConfig

K = 8
GENERATOR = torch.Generator().manual_seed(0)
Q, KEY = (torch.randn(1, 1, 1, K, dtype=torch.float64, generator=GENERATOR) for _ in range(2))


def product(i: int, j: int, rope: Rope) -> float:
    q, k = (rotate(x, rope.rotation(torch.tensor([[t]]))) for x, t in ((Q, i), (KEY, j)))
    return float((q * k).sum())


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_a_product_depends_on_the_distance_alone(fraction: float) -> None:
    rope = Rope((K,), fraction, 100.0)
    for distance in (0, 1, 5):
        products = [product(t + distance, t, rope) for t in (0, 3, 50)]
        assert products == pytest.approx([products[0]] * 3, abs=1e-12)
    assert product(5, 0, rope) != pytest.approx(product(0, 0, rope), abs=1e-3)


def test_rotation_keeps_lengths_and_the_start() -> None:
    rope = Rope((K,), 1.0, 10_000.0)
    turned = rotate(Q, rope.rotation(torch.tensor([[7]])))
    assert float(turned.norm()) == pytest.approx(float(Q.norm()), abs=1e-12)
    assert not torch.allclose(turned, Q)
    torch.testing.assert_close(rotate(Q, rope.rotation(torch.tensor([[0]]))), Q)


def test_pairs_are_halves_apart_and_turn_by_their_frequency() -> None:
    rotation = Rope((K,), 1.0, 100.0).rotation(torch.tensor([[3]]))
    cosine, sine = rotation.by_head_size[K]
    for m in range(K // 2):
        angle = torch.tensor(3 * 100.0 ** (-2 * m / K), dtype=torch.float64)
        torch.testing.assert_close(cosine[0, 0, 0, m], angle.cos())
        torch.testing.assert_close(sine[0, 0, 0, m], angle.sin())
        unit = torch.zeros(1, 1, 1, K, dtype=torch.float64)
        unit[..., m] = 1
        turned = rotate(unit, rotation)[0, 0, 0]
        assert sorted(turned.nonzero().flatten().tolist()) == [m, m + K // 2]


def test_features_beyond_the_fraction_stay() -> None:
    turned = rotate(Q, Rope((K,), 0.5, 100.0).rotation(torch.tensor([[9]])))
    assert torch.equal(turned[..., 4:], Q[..., 4:])
    assert not torch.allclose(turned[..., :4], Q[..., :4])


def test_a_far_position_is_exact() -> None:
    cosine, _ = Rope((K,), 1.0, 10_000.0).rotation(torch.tensor([[2**24 + 1]])).by_head_size[K]
    assert float(cosine[0, 0, 0, 0]) == pytest.approx(float(torch.tensor(2.0**24 + 1, dtype=torch.float64).cos()))


@pytest.mark.parametrize(("heads", "fraction"), [(4, 0.3), (32, 1.0), (8, 0.25)])
def test_an_odd_number_of_rotated_features_is_refused(heads: int, fraction: float) -> None:
    with pytest.raises(ConfigError, match=r"position\.fraction: rotates .* choose it so that this is an even number"):
        DecoderConfig.make({"width": 32, "block": {"mixer": {"heads": heads}}, "position": {"kind": "rope", "fraction": fraction}})


def test_the_settings_reach_the_module() -> None:
    rope = RopeConfig(base=50.0, fraction=0.5).build(ModelSizes(32, 1, (8,)))
    assert (rope.rotated, rope.base) == ({8: 4}, 50.0)


def test_heads_of_several_sizes_turn_each_at_their_own_frequencies() -> None:
    both, alone = Rope((K, 4), 1.0, 100.0).rotation(torch.tensor([[3]])), Rope((4,), 1.0, 100.0).rotation(torch.tensor([[3]]))
    small = Q[..., :4]
    torch.testing.assert_close(rotate(small, both), rotate(small, alone))
    torch.testing.assert_close(rotate(Q, both), rotate(Q, Rope((K,), 1.0, 100.0).rotation(torch.tensor([[3]]))))


def test_layers_with_heads_of_several_sizes_may_share_rotary_positions() -> None:
    pattern = ["local", {"mixer": {"kind": "full", "heads": 4}}]
    model = DecoderConfig.make({"width": 32, "depth": 2, "pattern": pattern, "position": "rope"}).build(11, torch.Generator())
    assert torch.isfinite(model(torch.arange(6).unsqueeze(0)).logits).all()
