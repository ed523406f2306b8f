"""Groups by role: which parameters decay and how, at which rate each learns, and what is refused."""

import math
from typing import Any

import pytest
import torch

from assay.core.config import FAMILIES
from assay.errors import ConfigError
from assay.nn.linear import ParameterInfo
from assay.optim.groups import GroupedConfig, WeightDecayConfig
from assay.optim.torch_optimizers import AdamConfig, AdamwConfig, SgdConfig
from optim.quadratic import START, parameter, slope, step_with

GROUPED = [leaf for leaf in FAMILIES["optimizer"].kinds.values() if issubclass(leaf, GroupedConfig)]


def told(groups: list[dict[str, Any]]) -> list[tuple[int, float, float]]:
    return [(len(group["params"]), group["lr"], group["weight_decay"]) for group in groups]


def test_groups_are_by_decay_and_rate() -> None:
    one, two = parameter([1.0]), parameter([1.0], rate=0.5)
    groups = AdamwConfig(lr=0.1, weight_decay=0.2).param_groups([one, two, parameter([1.0], "vector"), one])
    assert told(groups) == [(2, 0.1, 0.2), (1, 0.05, 0.4), (1, 0.1, 0.0)]


def test_an_empty_group_is_left_out() -> None:
    assert len(AdamwConfig().param_groups([parameter([1.0])])) == 1


def test_roles_that_decay_are_chosen() -> None:
    matrix, embedding, vector = parameter([1.0]), parameter([1.0], "embedding"), parameter([1.0], "vector")
    decaying, free = AdamwConfig(decays=("vector", "matrix")).param_groups([matrix, embedding, vector])
    assert [id(tensor) for tensor in decaying["params"]] == [id(matrix.tensor), id(vector.tensor)]
    assert [id(tensor) for tensor in free["params"]] == [id(embedding.tensor)]
    assert AdamwConfig(decays=()).param_groups([matrix])[0]["weight_decay"] == 0.0


def test_a_factor_of_a_role_moves_the_rate_and_a_decay_that_is_a_product_with_it() -> None:
    embedding, matrix = parameter([1.0], "embedding"), parameter([1.0])
    config = AdamwConfig(lr=0.1, weight_decay=0.2, rates={"embedding": 0.5})
    assert told(config.param_groups([embedding, matrix])) == [(1, 0.05, 0.2), (1, 0.1, 0.2)]
    assert config.build([embedding, matrix]).learning_rates(0.5) == {"adamw": 0.05}  # what is logged is the rate without factors


def test_a_factor_and_the_rate_of_mup_multiply() -> None:
    groups = AdamwConfig(lr=0.1, weight_decay=0.2, rates={"matrix": 3.0}).param_groups([parameter([1.0], rate=0.5)])
    assert told(groups) == [(1, pytest.approx(0.15), 0.4)]


def test_a_penalty_is_multiplied_by_the_width_factor_of_mup_as_in_microsoft_mup() -> None:
    hidden, embedding, vector = parameter([1.0], rate=1 / 4), parameter([1.0], "embedding"), parameter([1.0], "vector")
    found = AdamConfig(lr=0.1, weight_decay=0.2).param_groups([hidden, embedding, vector])
    assert told(found) == [(1, 0.1 / 4, 0.2 * 4), (1, 0.1, 0.2), (1, 0.1, 0.0)]  # as lr /= width_mult, weight_decay *= width_mult


def moved(kind: str, g: float, memory: dict[str, float], t: int) -> float:
    """By how much a learning rate of 1 moves a weight with the gradient g in step t, with the settings below."""
    if kind == "adam":
        memory["m"] = 0.9 * memory.get("m", 0.0) + 0.1 * g
        memory["v"] = 0.95 * memory.get("v", 0.0) + 0.05 * g * g
        return memory["m"] / (1 - 0.9**t) / (math.sqrt(memory["v"] / (1 - 0.95**t)) + 1e-3)
    share, kept = (0.01, 0.99) if kind == "rmsprop" else (1.0, 1.0)
    memory["v"] = kept * memory.get("v", 0.0) + share * g * g
    return g / (math.sqrt(memory["v"]) + 1e-3)


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "adagrad"])
def test_steps_with_a_penalty_under_mup_are_those_of_plain_lines(kind: str) -> None:
    width_mult, lr, decay = 4.0, 0.1, 0.05
    config = FAMILIES["optimizer"].make({"kind": kind, "lr": lr, "weight_decay": decay, "eps": 1e-3})
    assert isinstance(config, GroupedConfig)
    given = parameter([START], rate=1 / width_mult)
    optimizer = config.build([given])
    w, memory = START, dict[str, float]()
    for t in range(1, 6):
        step_with(optimizer, [given], [3 * given.tensor.detach() - 1])
        w -= lr / width_mult * moved(kind, slope(w) + decay * width_mult * w, memory, t)
        assert given.tensor.item() == pytest.approx(w, rel=1e-12)


@pytest.mark.parametrize("kind", ["sgd", "adagrad", "rmsprop"])
def test_decoupled_decay_shrinks_before_the_update_and_without_the_gradient(kind: str) -> None:
    config = FAMILIES["optimizer"].make({"kind": kind, "lr": 0.1, "weight_decay": 0.5, "decay": "decoupled"})
    assert isinstance(config, WeightDecayConfig)
    matrix, vector, idle = parameter([2.0]), parameter([2.0], "vector"), parameter([2.0])
    optimizer = config.build([matrix, vector, idle])
    for each in (matrix, vector):
        each.tensor.grad = torch.zeros_like(each.tensor)
    optimizer.step(0.5)
    assert (matrix.tensor.item(), vector.tensor.item(), idle.tensor.item()) == (pytest.approx(2 * (1 - 0.05 * 0.5)), 2.0, 2.0)


def test_the_two_forms_of_decay_are_one_for_plain_gradient_descent_and_two_with_momentum() -> None:
    def after(momentum: float, decay: str) -> float:
        given = parameter([2.0])
        config = SgdConfig.make({"lr": 0.1, "momentum": momentum, "weight_decay": 0.5, "decay": decay})
        optimizer = config.build([given])
        for _ in range(3):
            given.tensor.grad = torch.ones_like(given.tensor)
            optimizer.step(1.0)
        return given.tensor.item()

    assert after(0.0, "l2") == pytest.approx(after(0.0, "decoupled"), rel=1e-12)
    assert abs(after(0.9, "l2") - after(0.9, "decoupled")) > 0.01


def test_a_role_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rates.embeding.*input should be 'matrix', 'embedding', 'vector' or 'head'"):
        AdamwConfig.make({"rates": {"embeding": 0.5}})
    with pytest.raises(ConfigError, match=r"decays.*input should be 'matrix', 'embedding', 'vector' or 'head'"):
        AdamwConfig.make({"decays": ["biases"]})


def test_a_factor_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rates.head: = 0 cannot multiply a learning rate"):
        AdamwConfig.make({"rates": {"head": 0.0}})


def test_a_factor_for_a_role_that_no_parameter_has_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"optimizer.rates.head: has nothing to act on"):
        AdamwConfig(rates={"head": 0.5}).build([parameter([1.0])])


@pytest.mark.parametrize("leaf", GROUPED, ids=lambda leaf: leaf.model_fields["kind"].default)
def test_rates_of_mup_are_honoured_or_refused(leaf: type[GroupedConfig]) -> None:
    slow = parameter([1.0, 1.0], rate=0.25)
    config = leaf.make({"kind": leaf.model_fields["kind"].default, "lr": 0.1})
    if leaf.scales_with_gradient:
        with pytest.raises(ConfigError, match=r"does not go with model\.init=mup"):
            config.build([slow])
    else:
        (part,) = config.build([slow]).parts.values()
        assert part.param_groups[0]["lr"] == pytest.approx(0.025)


def test_the_kinds_whose_updates_scale_with_the_gradient_say_so() -> None:
    def moved(leaf: type[GroupedConfig], size: float) -> float:
        given: ParameterInfo = parameter([1.0, 2.0])
        optimizer = leaf.make({"kind": leaf.model_fields["kind"].default, "weight_decay": 0.0}).build([given])
        with optimizer.use_sampled_weights(0):
            given.tensor.grad = torch.full_like(given.tensor, size)
        before = given.tensor.detach().clone()
        optimizer.step(1.0)
        return float((given.tensor.detach() - before).abs().max())

    for leaf in GROUPED:
        if leaf.model_fields["kind"].default != "library":  # which holds both sorts
            assert (moved(leaf, 2.0) > 1.5 * moved(leaf, 1.0)) == leaf.scales_with_gradient, leaf
