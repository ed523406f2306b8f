from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from assay.core.config import FAMILIES
from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.feedforward.base import FeedforwardConfig
from assay.nn.feedforward.dense import GluConfig, LowRankFeedforwardConfig, MlpConfig
from assay.nn.linear import FactorisedLinear, Linear
from nn.feedforward.naive import WIDTH, built
from nn.feedforward.naive import X as NARROW_X

X = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_perceptron_is_its_formula() -> None:
    feedforward = MlpConfig.make({"hidden": 20, "activation": "relu"}).build(32).double()
    hidden = F.relu(X @ feedforward.expand.weight.t() + feedforward.expand.bias)
    torch.testing.assert_close(feedforward(X)[0], hidden @ feedforward.contract.weight.t() + feedforward.contract.bias)


def test_a_gate_is_its_formula() -> None:
    feedforward = GluConfig.make({"hidden": 20}).build(32).double()
    gate, value = feedforward.expand.weight.split(feedforward.expand.parts)
    torch.testing.assert_close(feedforward(X)[0], (F.silu(X @ gate.t()) * (X @ value.t())) @ feedforward.contract.weight.t())


@pytest.mark.parametrize(("config", "hidden"), [(MlpConfig(), 128), (GluConfig(), 88)])
def test_the_inner_width_follows_from_the_width(config: FeedforwardConfig, hidden: int) -> None:
    assert config.build(32).contract.in_features == hidden


@pytest.mark.parametrize("config", [MlpConfig(), GluConfig()])
def test_each_position_is_by_itself(config: FeedforwardConfig) -> None:
    feedforward = config.build(32).double()
    torch.testing.assert_close(feedforward(X)[0][:, 2:3], feedforward(X[:, 2:3])[0])


@pytest.mark.parametrize(("name", "gate"), [("swiglu", F.silu), ("geglu", F.gelu), ("reglu", F.relu)])
def test_the_gated_units_have_their_names(name: str, gate: Callable[[torch.Tensor], torch.Tensor]) -> None:
    config = FAMILIES["feedforward"].make({"kind": name, "hidden": 20})
    assert isinstance(config, GluConfig)
    feedforward = config.build(32).double()
    left, right = (X @ feedforward.expand.weight.t()).chunk(2, dim=-1)
    torch.testing.assert_close(feedforward(X)[0], (gate(left) * right) @ feedforward.contract.weight.t())


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
    thin = built(
        LowRankFeedforwardConfig.make({"rank": rank, "hidden": 24, "gated": gated, "bias": not gated, "activation": dense.inner.activation})
    )
    with torch.no_grad():
        factorise(thin.expand, dense.expand, rank)
        factorise(thin.contract, dense.contract, rank)
        return float((thin(NARROW_X)[0] - dense(NARROW_X)[0]).abs().max())


@pytest.mark.parametrize("gated", [False, True])
def test_the_factors_of_a_full_rank_are_the_dense_layer(gated: bool) -> None:
    assert gap(WIDTH, gated) < 1e-12
    assert gap(WIDTH - 4, gated) > 1e-3


@pytest.mark.parametrize(("gated", "maps"), [(False, 2), (True, 3)])
def test_it_has_two_thin_matrices_a_map(gated: bool, maps: int) -> None:
    feedforward = LowRankFeedforwardConfig(rank=5, hidden=24, gated=gated, bias=False).build(WIDTH)
    assert sum(parameter.numel() for parameter in feedforward.parameters()) == maps * 5 * (WIDTH + 24)


def test_the_inner_width_is_that_of_the_dense_layers() -> None:
    for gated, dense in ((False, MlpConfig()), (True, GluConfig())):
        assert LowRankFeedforwardConfig(gated=gated).build(64).contract.down.in_features == dense.build(64).contract.in_features


@pytest.mark.parametrize(("outputs", "factor"), [("plain", 1.0), ("scaled", 0.5)])
def test_the_products_begin_with_the_variance_of_one_matrix(outputs: str, factor: float) -> None:
    feedforward = {"kind": "low_rank", "rank": 64, "hidden": 512}
    config = DecoderConfig.make(
        {"width": 256, "depth": 2, "block": {"feedforward": feedforward}, "init": {"kind": "fan_in", "outputs": outputs}}
    )
    layer = config.build(11, torch.Generator().manual_seed(0)).layers[0].feedforward
    for linear, expected in ((layer.expand, 256**-0.5), (layer.contract, factor * 512**-0.5)):
        product = linear.up[0].weight @ linear.down.weight
        assert float(product.detach().std()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("settings", "said"), [({"rank": 17}, "17 exceeds 16"), ({"rank": 9, "hidden": 8}, "9 exceeds 8")])
def test_a_rank_that_the_maps_cannot_have_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=rf"block\.feedforward\.rank: {said}"):
        DecoderConfig.make({"width": WIDTH, "block": {"mixer": {"heads": 2}, "feedforward": {"kind": "low_rank", **settings}}})
