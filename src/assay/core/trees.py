"""Config trees, as plain data: merge them, list their leaves and changes, hash them, and refuse what no file can hold."""

import copy
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from assay.errors import ConfigError, prefix_errors

Tree = dict[str, Any]
MAX_INTEGER = 2**63 - 1  # TOML's
MAX_NUMBER = 1e38  # more has no float32


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Merge `over` into `base`. A table of another kind replaces the old one whole, so that no stale key survives."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, str) and isinstance(value, Mapping) and "kind" not in value:
            old = {"kind": old}
        if isinstance(old, Mapping) and isinstance(value, str) and old.get("kind") == value:
            continue
        if isinstance(old, Mapping) and isinstance(value, Mapping) and value.get("kind", old.get("kind")) == old.get("kind"):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def flatten(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """List the leaves of a config tree as (dotted path, value)."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from flatten(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list | tuple) and any(isinstance(item, Mapping) for item in tree):
        for index, item in enumerate(tree):
            yield from flatten(item, f"{path}.{index}")
    else:
        yield path, tree


def find_changes(before: Tree, after: Tree) -> dict[str, tuple[Any, Any]]:
    """Find the dotted keys in which two config trees differ, with both values; None where it is absent."""
    old, new = dict(flatten(before)), dict(flatten(after))
    return {key: (old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)}


def replace_leaves(tree: Tree, leaves: Mapping[str, Any]) -> Tree:
    """Copy a config tree with other values at these dotted paths; None takes the key away."""
    copied = copy.deepcopy(tree)
    for path, value in leaves.items():
        *outer, key = path.split(".")
        place: Any = copied
        for part in outer:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if isinstance(place, list):
            place[int(key)] = value
        elif value is None:
            place.pop(key, None)
        else:
            place[key] = value
    return copied


def digest(value: Any) -> str:
    """Compute the sha256 of the canonical JSON of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_plain(value: Any) -> None:
    """Raise ConfigError for a number, at any depth, that has no place in a file or in float32, and for text that is not Unicode."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_plain(key)
            with prefix_errors(str(key)):
                check_plain(item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            with prefix_errors(str(index)):
                check_plain(item)
    elif isinstance(value, float) and not -MAX_NUMBER <= value <= MAX_NUMBER:
        why = f"is beyond {MAX_NUMBER:g}, which float32 does not hold" if math.isfinite(value) else "is no finite number"
        raise ConfigError("", f"{value:g} {why}; give another")
    elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ConfigError("", f"a number of {value.bit_length()} bits is too large for a file; give a smaller one")
    elif isinstance(value, str) and ("\0" in value or any("\ud800" <= letter < "\ue000" for letter in value)):
        raise ConfigError("", f"{value!a} holds what is no text; leave it out")
