"""The values that a setting takes, as data read from its declaration, and in a few words.

{"type": "integer", "minimum": 1, "maximum": 1000}      integer 1 to 1,000
{"type": "number", "minimum": 0, "below": 1}            number 0 to <1
{"type": "choice", "choices": ["l2", "decoupled"]}      l2, decoupled
{"type": "kind", "family": "norm", "optional": true}    kind of norm; or absent
"""

import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

Allowed = Mapping[str, Any]

TYPES = {bool: "boolean", int: "integer", float: "number", str: "text", Any: "any"}
BOUNDS = {"ge": "minimum", "gt": "above", "le": "maximum", "lt": "below", "pattern": "pattern"}


def read_allowed_values(annotation: Any, metadata: Iterable[Any] = ()) -> dict[str, Any]:
    """Read what a field takes from its annotation, and its bounds from the annotation's metadata."""
    bounds = {name: value for rule in metadata for key, name in BOUNDS.items() if (value := getattr(rule, key, None)) is not None}
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return {**read_allowed_values(arguments[0], _unfold(arguments[1:])), **bounds}
    if origin in (Union, types.UnionType) and type(None) in arguments:
        (present,) = (one for one in arguments if one is not type(None))  # no setting takes values of two types
        return {**read_allowed_values(present), **bounds, "optional": True}
    if origin is Literal:
        return {"type": "choice", "choices": list(arguments)}
    if origin in (tuple, list):
        return {"type": "list", "items": read_allowed_values(arguments[0])}
    if origin is dict:
        return {"type": "table", "keys": read_allowed_values(arguments[0]), "items": read_allowed_values(arguments[1])}
    return {"type": TYPES[annotation], **bounds} if annotation in TYPES else _read_config(annotation)


def _unfold(metadata: Iterable[Any]) -> Iterable[Any]:
    """Yield the rules that stand in a field among the metadata, and the others as they are."""
    for rule in metadata:
        yield from getattr(rule, "metadata", (rule,))


def _read_config(annotation: Any) -> dict[str, Any]:
    """Read a config as the value of a setting: any kind of a family, one kind, or a table of settings that is no kind."""
    family = getattr(annotation, "family", None)
    if family is None:
        return {"type": "table"}
    if annotation is family.base:
        return {"type": "kind", "family": family.name}
    return {"type": "kind", "family": family.name, "choices": [name for name, leaf in family.kinds.items() if leaf is annotation]}


def format_allowed_values(allowed: Allowed) -> str:
    """Write the values in a few words."""
    if not allowed:
        return ""
    return f"{_format_present(allowed)}; or absent" if allowed.get("optional") else _format_present(allowed)


def _format_present(allowed: Allowed) -> str:
    """Write the values of a setting that is there."""
    if "choices" in allowed:
        return ", ".join(map(str, allowed["choices"]))
    write = WRITERS.get(allowed["type"])
    return write(allowed) if write is not None else f"{allowed['type']} {_format_range(allowed)}".rstrip()


def _format_items(allowed: Allowed) -> str:
    """Write a list or a table with what stands in it."""
    items = allowed.get("items", {"type": "any"})
    return allowed["type"] if items["type"] == "any" else f"{allowed['type']} of {_format_present(items)}"


WRITERS: dict[str, Callable[[Allowed], str]] = {
    "boolean": lambda allowed: "true, false",
    "kind": lambda allowed: f"kind of {allowed['family']}",
    "list": _format_items,
    "table": _format_items,
    "text": lambda allowed: f"text that matches {allowed['pattern']}" if "pattern" in allowed else "text",
    "any": lambda allowed: "any value",
}


def _format_range(allowed: Allowed) -> str:
    """Write the bounds of a number: `>= 1`, `0 to <1`; nothing where it has none."""
    low = next((f"{sign}{allowed[name]:,}" for name, sign in (("minimum", ""), ("above", ">")) if name in allowed), None)
    high = next((f"{sign}{allowed[name]:,}" for name, sign in (("maximum", ""), ("below", "<")) if name in allowed), None)
    if low is not None and high is not None:
        return f"{low} to {high}"
    for name, sign in (("minimum", ">="), ("above", ">"), ("maximum", "<="), ("below", "<")):
        if name in allowed:
            return f"{sign} {allowed[name]:,}"
    return ""
