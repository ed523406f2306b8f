"""Changes of a config as people write them: `model.depth=6`, or nested dicts."""

from collections.abc import Mapping
from typing import Any

from assay.core import recipe as recipes
from assay.core.config import Tree
from assay.errors import ConfigError

Override = str | Mapping[str, Any]


def apply_override(tree: Tree, override: Override) -> Tree:
    """`tree` with one override. Keys of a dict may be dotted, at any depth. Raises ConfigError."""
    if isinstance(override, str):
        return recipes.override(tree, [override])
    if not isinstance(override, Mapping):
        raise ConfigError("", f"{override!r} is no override; write 'train.seed=1' or a dict such as {{'train': {{'seed': 1}}}}")
    for key, value in override.items():
        tree = recipes.place(tree, str(key), _nested(value))
    return tree


def _nested(value: Any) -> Any:
    """A dict with its dotted keys as nested dicts; everything else as it is."""
    if not isinstance(value, Mapping):
        return value
    tree: Tree = {}
    for key, inner in value.items():
        tree = recipes.place(tree, str(key), _nested(inner))
    return tree
