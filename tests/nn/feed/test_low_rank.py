import pytest
import torch

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.feed.glu import GluConfig
from assay.nn.feed.low_rank import LowRankConfig
from assay.nn.feed.mlp import MlpConfig
from assay.nn.linear import FactorisedLinear, Linear
from nn.feed.naive import WIDTH, X, built


def factorise(into: FactorisedLinear, linear: Linear, rank: int) -> None:
    """The best factors of that rank of each fused matrix, by singular values; biases copied."""
    downs = []
    biases = [None] * len(linear.parts) if linear.bias is None else linear.bias.split(linear.parts)
    for up, matrix, bias in zip(into.up, linear.weight.split(linear.parts), biases, strict=True):
        u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        up.weight.copy_(u[:, :rank] * s[:rank])
        if bias is not None:
            up.bias.copy_(bias)
        downs.append(v[:rank])
    into.down.weight.copy_(torch.cat(downs))


def gap(rank: int, gated: bool) -> float:
    """How far the dense layer and its best factors of this rank differ."""
    dense = built(GluConfig(hidden=24) if gated else MlpConfig(hidden=24))
    thin = built(LowRankConfig.make({"rank": rank, "hidden": 24, "gated": gated, "bias": not gated, "activation": dense.activation}))
    with torch.no_grad():
        factorise(thin.expand, dense.expand, rank)
        factorise(thin.contract, dense.contract, rank)
        return float((thin(X)[0] - dense(X)[0]).abs().max())


@pytest.mark.parametrize("gated", [False, True])
def test_the_factors_of_a_full_rank_are_the_dense_layer(gated: bool) -> None:
    assert gap(WIDTH, gated) < 1e-12
    assert gap(WIDTH - 4, gated) > 1e-3


@pytest.mark.parametrize(("gated", "maps"), [(False, 2), (True, 3)])
def test_it_has_two_thin_matrices_a_map(gated: bool, maps: int) -> None:
    feed = LowRankConfig(rank=5, hidden=24, gated=gated, bias=False).build(WIDTH)
    assert sum(parameter.numel() for parameter in feed.parameters()) == maps * 5 * (WIDTH + 24)


def test_the_inner_width_is_that_of_the_dense_layers() -> None:
    for gated, dense in ((False, MlpConfig()), (True, GluConfig())):
        assert LowRankConfig(gated=gated).build(64).contract.down.in_features == dense.build(64).contract.in_features


@pytest.mark.parametrize(("outputs", "factor"), [("plain", 1.0), ("scaled", 0.5)])
def test_the_products_begin_with_the_variance_of_one_matrix(outputs: str, factor: float) -> None:
    feed = {"kind": "low_rank", "rank": 64, "hidden": 512}
    config = DecoderConfig.make({"width": 256, "depth": 2, "block": {"feed": feed}, "init": {"kind": "fan_in", "outputs": outputs}})
    layer = config.build(11, torch.Generator().manual_seed(0)).layers[0].feed
    for linear, expected in ((layer.expand, 256**-0.5), (layer.contract, factor * 512**-0.5)):
        product = linear.up[0].weight @ linear.down.weight
        assert float(product.detach().std()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("settings", "said"), [({"rank": 17}, "17 exceeds 16"), ({"rank": 9, "hidden": 8}, "9 exceeds 8")])
def test_a_rank_that_the_maps_cannot_have_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=rf"block\.feed\.rank: {said}"):
        DecoderConfig.make({"width": WIDTH, "block": {"mixer": {"heads": 2}, "feed": {"kind": "low_rank", **settings}}})
