import pytest
import torch
from torch import nn

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.linear import FactorisedLinear, Linear
from assay.nn.mixer.low_rank import LowRankConfig
from nn.mixer.plain import WIDTH, X, built, full, where


def factorise(into: nn.Module, linear: Linear, rank: int) -> None:
    """The best factors of that rank of each fused matrix, by singular values."""
    assert isinstance(into, FactorisedLinear)
    downs = []
    for up, matrix, bias in zip(into.up, linear.weight.split(linear.parts), linear.bias.split(linear.parts), strict=True):
        u, s, v = torch.linalg.svd(matrix)
        up.weight.copy_(u[:, :rank] * s[:rank])
        up.bias.copy_(bias)
        downs.append(v[:rank])
    into.down.weight.copy_(torch.cat(downs))


def test_the_factors_of_a_full_rank_are_full_attention() -> None:
    mixer, dense = built(LowRankConfig(heads=4, rank=WIDTH)), full()
    with torch.no_grad():
        factorise(mixer.project, dense.project, WIDTH)
        factorise(mixer.output, dense.output, WIDTH)
    torch.testing.assert_close(mixer(X, None, where())[0], dense(X, None, where())[0])


def test_a_smaller_rank_is_another_function() -> None:
    mixer, dense = built(LowRankConfig(heads=4, rank=8)), full()
    with torch.no_grad():
        factorise(mixer.project, dense.project, 8)
        factorise(mixer.output, dense.output, 8)
    assert (mixer(X, None, where())[0] - dense(X, None, where())[0]).abs().max() > 0.01


def test_it_has_two_thin_matrices_a_map() -> None:
    mixer = LowRankConfig(heads=4, rank=5, bias=False).build(WIDTH)
    assert sum(p.numel() for p in mixer.parameters()) == 4 * 5 * (WIDTH + WIDTH)


@pytest.mark.parametrize("init", [{"kind": "normal", "std": 0.05}, {"kind": "fan_in", "gain": 0.7}])
def test_the_product_begins_with_the_variance_of_one_matrix(init: dict[str, object]) -> None:
    config = {"width": 256, "depth": 1, "block": {"mixer": {"kind": "low_rank", "rank": 64}}, "init": {**init, "outputs": "plain"}}
    model = DecoderConfig.make(config).build(11, torch.Generator().manual_seed(0))
    expected = 0.05 if init["kind"] == "normal" else 0.7 / 256**0.5
    for module in (m for m in model.modules() if isinstance(m, FactorisedLinear)):
        for up, down in zip(module.up, module.down.weight.split(64), strict=True):
            assert float((up.weight @ down).detach().std()) == pytest.approx(expected, rel=0.05)
            assert float((down @ torch.randn(256, 500)).detach().std()) == pytest.approx(1.0, rel=0.1)


def test_a_rank_above_the_width_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"block\.mixer.rank: 40 exceeds the width 32"):
        DecoderConfig.make({"width": WIDTH, "block": {"mixer": {"kind": "low_rank", "heads": 4, "rank": 40}}})
