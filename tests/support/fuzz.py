"""Damage trees of values and bytes at random, and hold what reads them to a result or one sentence, in little time."""

import json
from collections.abc import Callable
from time import process_time
from typing import Any

import tomli_w
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from assay.errors import AssayError

LONGEST = 4000  # characters of a refusal, which may list what is known
SECONDS = 30.0  # of the processor, for one reading: a plan of fifty large arms takes five on a busy machine
FEW = settings(max_examples=20, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=150, suppress_health_check=list(HealthCheck))
NASTY: tuple[Any, ...] = (
    0, -1, 1, 2**31, 2**40, 2**63 - 1, -(2**63), 10**30, 0.0, -0.5, 1e-320, 1e300, float("inf"), float("nan"), "", " ", ".", "a.b", "é\0",
    "\U0001f600", "*", "kind", "inf", "none", True, False, [], [[]], [{}], [0], [None], ["full"], {}, {"": 1}, {"kind": "full"},
    {"kind": []},
    {"kind": 5}, {"a.b": 1}, None, [2**40] * 3, {"min": 1, "max": 1e300}, {"values": [1, 1.0, True]}, [[1, 2], [3]],
)  # fmt: skip
VALUES = st.sampled_from(NASTY) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(("", ".", "a..b", "kind", "extends", "scales", "set", "launch", "0", "plan", "é", "model.depth", "path")) | st.text(
    max_size=4
)
BYTES = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from(["flip", "cut", "insert", "zero", "double"]), st.binary(max_size=5)),
    min_size=1, max_size=4,
)  # fmt: skip
Draw = Callable[[st.SearchStrategy[Any]], Any]


def mutate(tree: Any, draw: Draw) -> Any:
    """Replace, drop, add or rename something in a tree."""
    if isinstance(tree, dict) and tree and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(tree, key=str)))
        rest = {name: value for name, value in tree.items() if name != key}
        way = draw(st.integers(0, 7))
        if way == 0:
            return rest
        if way == 1:
            return {**rest, draw(KEYS): tree[key]}
        return {**tree, draw(KEYS): draw(VALUES)} if way == 2 else {**tree, key: mutate(tree[key], draw)}
    if isinstance(tree, list) and tree and draw(st.integers(0, 5)):
        index = draw(st.integers(0, len(tree) - 1))
        return [*tree[:index], mutate(tree[index], draw), *tree[index + 1 :]]
    return draw(VALUES)


def change(data: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    """Damage bytes: flip a bit, cut or double what follows, put bytes in, or write zeros."""
    for number, kind, more in changes:
        place = number % (len(data) + 1)
        before, after = data[:place], data[place:]
        if kind == "flip" and after:
            after = bytes([after[0] ^ 1 << number % 8]) + after[1:]
        elif kind == "zero":
            after = bytes(min(len(after), 8)) + after[8:]
        else:
            after = {"cut": b"", "insert": more + after, "double": after + after}.get(kind, after)
        data = before + after
    return data


def write_toml(tree: Any) -> bytes | None:
    """Write a tree as TOML; None where it cannot be."""
    try:
        return tomli_w.dumps(drop_null(tree)).encode()
    except (TypeError, AttributeError, UnicodeEncodeError):
        return None


def write_json(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def drop_null(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: drop_null(value) for key, value in tree.items() if value is not None}
    return [drop_null(item) for item in tree if item is not None] if isinstance(tree, list) else tree


def accept_or_refuse(read: Callable[[], object]) -> object:
    """Read, soon; a refusal is one sentence."""
    begun, said = process_time(), ""
    try:
        return read()
    except AssayError as refused:
        said = str(refused)
    finally:
        assert process_time() - begun < SECONDS
    assert "\n" not in said.strip()
    assert 0 < len(said) < LONGEST
    return None
