"""The space of a search: what is drawn, under which conditions, and what is refused."""

import random
from typing import Any

import pytest

from assay.errors import ConfigError
from assay.searches.dimension import Dimension, Scalar
from assay.searches.space import Point, Space

CONDITIONAL: dict[str, Any] = {
    "model.block.mixer.window": {"int": [16, 128], "log": True, "when": {"model.block.mixer": "local"}},
    "model.block.mixer": {"choice": ["full", {"kind": "local", "window": 64}, {"kind": "xl", "segment": 8}]},
    "model.block.mixer.segment": {"choice": [8, 16], "when": {"model.block.mixer": ["xl", "compressive"]}},
    "model.depth": {"int": [2, 8], "step": 2},
}


def drawn(space: Space, seed: int) -> Point:
    dice = random.Random(seed)

    def suggest(key: str, dimension: Dimension) -> Scalar:
        return dice.choice(dimension.values() or (0.5,))

    return space.draw(suggest)


def test_a_key_is_drawn_after_the_keys_that_its_condition_names() -> None:
    table = {**CONDITIONAL, "model.block.mixer.segment": {"choice": [8, 16], "when": {"model.block.mixer": "xl"}}}
    order = list(Space(table).dimensions)
    assert order.index("model.block.mixer") < order.index("model.block.mixer.window")


def test_a_conditional_key_is_set_for_its_own_kind_and_for_no_other() -> None:
    space = Space({**CONDITIONAL, "model.block.mixer.segment": {"choice": [8, 16], "when": {"model.block.mixer": ["xl"]}}})
    seen = set()
    for seed in range(100):
        point = drawn(space, seed)
        kind = str(point["model.block.mixer"]).split()[0]
        seen.add(kind)
        assert ("model.block.mixer.window" in point) == (kind == "local")
        assert ("model.block.mixer.segment" in point) == (kind == "xl")
    assert seen == {"full", "local", "xl"}


def test_a_condition_on_a_conditional_key_needs_both_to_hold() -> None:
    space = Space(
        {
            "a": {"choice": [1, 2]},
            "b": {"choice": [True, False], "when": {"a": 1}},
            "c": {"uniform": [0.0, 1.0], "when": {"b": True}},
        }
    )
    assert space.grid_points != []
    for seed in range(50):
        point = drawn(space, seed)
        assert ("c" in point) == (point["a"] == 1 and point.get("b") is True)


def test_the_points_of_a_conditional_grid_are_each_listed_once() -> None:
    space = Space(
        {
            "mixer": {"choice": ["full", {"kind": "local", "window": 8}]},
            "mixer.window": {"choice": [4, 8, 16], "when": {"mixer": "local"}},
            "depth": {"int": [1, 5], "step": 3},
            "rate": {"uniform": [0.0, 0.3], "step": 0.15},
        }
    )
    points = space.grid_points()
    assert len(points) == (1 + 3) * 2 * 3
    assert len({tuple(sorted(point.items())) for point in points}) == len(points)
    assert {point["rate"] for point in points} == {0.0, 0.15, 0.3}


def test_a_table_is_drawn_by_its_label_and_written_as_a_table() -> None:
    space = Space(CONDITIONAL | {"model.block.mixer.segment": {"choice": [8], "when": {"model.block.mixer": "xl"}}})
    assert space.settings({"model.block.mixer": "local window=64"}) == {"model.block.mixer": {"kind": "local", "window": 64}}


def test_tables_within_tables_mean_the_same_as_quoted_keys() -> None:
    nested = Space({"optimizer": {"lr": {"log": [1e-4, 1e-1]}}, "model": {"block": {"mixer": {"choice": ["full", "local"]}}}})
    assert list(nested.dimensions) == ["optimizer.lr", "model.block.mixer"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "space: is empty; name a key"),
        ({"a": 3}, 'space."a": expects a table such as { choice = [3] }'),
        ({"a": {"lgo": [1, 2]}}, "does not say what to try; did you mean 'log'?"),
        ({"a": {"log": [0.0, 1.0]}}, 'space."a".log: 0 has no logarithm; begin above 0'),
        ({"a": {"log": [1.0, 0.1]}}, "goes from 1 to 0.1; give a lower and a higher number"),
        ({"a": {"uniform": [0.0, 1.0], "int": [1, 2]}}, "has both uniform and int"),
        ({"a": {"uniform": [0.0, 1.0], "stop": 0.1}}, "unknown key; did you mean 'step'?"),
        ({"a": {"int": [1, 8], "log": True, "step": 2}}, 'space."a".step: does not go with log'),
        ({"a": {"int": [1.5, 8]}}, 'space."a".int.0: '),
        ({"a": {"choice": []}}, 'space."a".choice: '),
        ({"a": {"choice": ["x", "x"]}}, "has x twice; leave one out"),
        ({"a": {"choice": [1], "when": {"mixr": 1}}, "mixer": {"choice": [1]}}, "'mixr' is no key of this space; did you mean 'mixer'?"),
        ({"a": {"choice": [1], "when": {"b": "locl"}}, "b": {"choice": ["local", "full"]}}, "'b' is never locl; did you mean 'local'?"),
        ({"a": {"choice": [1], "when": {"b": 1}}, "b": {"log": [1.0, 2.0]}}, "a condition needs a choice or an int"),
        (
            {"a": {"choice": [1], "when": {"b": 1}}, "b": {"choice": [1], "when": {"a": 1}}},
            "the conditions of a and b depend on each other in a circle",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Space(table)
    assert said in str(refused.value)


def test_a_range_without_end_is_no_grid() -> None:
    with pytest.raises(ConfigError, match='"a": has endless values, and a grid needs a list'):
        Space({"a": {"uniform": [0.0, 1.0]}}).grid_points()


def test_values_near_the_ends_of_a_range_are_at_its_edge() -> None:
    space = Space({"a": {"log": [1e-4, 1e-1]}, "b": {"uniform": [0.0, 1.0]}, "c": {"int": [1, 3]}, "d": {"choice": [1, 2]}}).dimensions
    assert [space["a"].at_edge(value) for value in (1.1e-4, 1e-2, 0.09)] == [True, False, True]
    assert [space["b"].at_edge(value) for value in (0.01, 0.5, 0.99)] == [True, False, True]
    assert [space["c"].at_edge(value) for value in (1, 2, 3)] == [True, False, True]
    assert not space["d"].at_edge(1)
