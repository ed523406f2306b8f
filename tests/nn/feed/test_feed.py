from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from assay.core.config import FAMILIES
from assay.nn.feed.base import FeedConfig
from assay.nn.feed.glu import GluConfig
from assay.nn.feed.mlp import MlpConfig

X = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_perceptron_is_its_formula() -> None:
    feed = MlpConfig.make({"hidden": 20, "activation": "relu"}).build(32).double()
    hidden = F.relu(X @ feed.expand.weight.t() + feed.expand.bias)
    torch.testing.assert_close(feed(X)[0], hidden @ feed.contract.weight.t() + feed.contract.bias)


def test_a_gate_is_its_formula() -> None:
    feed = GluConfig.make({"hidden": 20}).build(32).double()
    gate, value = feed.expand.weight.split(feed.expand.parts)
    torch.testing.assert_close(feed(X)[0], (F.silu(X @ gate.t()) * (X @ value.t())) @ feed.contract.weight.t())


@pytest.mark.parametrize(("config", "hidden"), [(MlpConfig(), 128), (GluConfig(), 88)])
def test_the_inner_width_follows_from_the_width(config: FeedConfig, hidden: int) -> None:
    assert config.build(32).contract.in_features == hidden


@pytest.mark.parametrize("config", [MlpConfig(), GluConfig()])
def test_each_position_is_by_itself(config: FeedConfig) -> None:
    feed = config.build(32).double()
    torch.testing.assert_close(feed(X)[0][:, 2:3], feed(X[:, 2:3])[0])


@pytest.mark.parametrize(("name", "gate"), [("swiglu", F.silu), ("geglu", F.gelu), ("reglu", F.relu)])
def test_the_gated_units_have_their_names(name: str, gate: Callable[[torch.Tensor], torch.Tensor]) -> None:
    config = FAMILIES["feed"].make({"kind": name, "hidden": 20})
    assert isinstance(config, GluConfig)
    feed = config.build(32).double()
    left, right = (X @ feed.expand.weight.t()).chunk(2, dim=-1)
    torch.testing.assert_close(feed(X)[0], (gate(left) * right) @ feed.contract.weight.t())
