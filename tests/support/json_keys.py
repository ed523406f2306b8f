"""The keys of JSON that programs read."""

from collections.abc import Collection, Iterator
from typing import Any

BY_DATA = {  # the key of a mapping whose own keys are data, and what they are
    "changes": "keys of a config",
    "chosen": "names of arms",
    "configured_rates": "keys of a config",
    "gradient_norms": "names of layers",
    "importance": "keys of a config",
    "lr": "names of groups of parameters",
    "packages": "names of packages",
    "recommended": "keys of a config",
    "settings": "keys of a config",
    "solved": "keys of a config",
    "space": "keys of a config",
    "traits": "kinds",
    "values": "keys of a config",
    "values_by_tokens": "numbers of tokens",
}


def phrases(tree: Any, by_data: Collection[str] = BY_DATA.keys(), place: str = "") -> Iterator[str]:
    """The places of keys that are no identifiers, in mappings whose keys have a fixed meaning."""
    if isinstance(tree, dict):
        fixed = place.rpartition(".")[2] not in by_data
        for key, value in tree.items():
            if fixed and not key.isidentifier():
                yield f"{place}.{key}"
            yield from phrases(value, by_data, f"{place}.{key}" if fixed else f"{place}.*")
    elif isinstance(tree, list):
        for value in tree:
            yield from phrases(value, by_data, place)
