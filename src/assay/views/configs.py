"""A config and its values as a person writes them."""

import json
import re
from collections.abc import Iterator
from typing import Any

from assay.core.config import Tree


def config_lines(tree: Tree, indent: str = "") -> Iterator[tuple[str, str]]:
    """A config, one line a table: its name, its kind, its settings; tables inside it follow, indented."""
    for key, value in tree.items():
        if not isinstance(value, dict):
            yield f"{indent}{key}", shown(value)
            continue
        inner = {name: item for name, item in value.items() if isinstance(item, dict) and set(item) != {"kind"} and item}
        plain = [f"{name}={shown(item)}" for name, item in value.items() if name not in inner and name != "kind"]
        yield f"{indent}{key}", " ".join([str(value["kind"]), *plain] if "kind" in value else plain)
        yield from config_lines(inner, indent + "  ")


def shown(value: Any) -> str:
    """A value as it is written in an override; a table with nothing but its kind as that."""
    if isinstance(value, dict):
        return str(value["kind"]) if set(value) == {"kind"} else "{" + ", ".join(f"{k} = {shown(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, str) and re.fullmatch(r"[\w./:-]+", value):
        return value
    return json.dumps(value)
