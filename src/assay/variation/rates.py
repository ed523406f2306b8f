"""Learning rates in a config tree: every key `lr` below `optimizer`."""

from typing import Any

from assay.core.trees import Tree, flatten
from assay.errors import ConfigError

RATE = "lr"


def scale_learning_rates(tree: Tree, factor: float) -> Tree:
    """Multiply every learning rate in an experiment's tree by `factor`. Schedules are factors on these, and need nothing."""
    if factor == 1:
        return tree
    scaled = _scale_rates(tree["optimizer"], factor)
    if scaled == tree["optimizer"]:
        raise ConfigError("lr_factors", "have nothing to act on, as the optimiser has no key `lr`; leave them out")
    return {**tree, "optimizer": scaled}


def list_learning_rates(tree: Tree) -> list[str]:
    """List the dotted keys of the learning rates in an experiment's tree."""
    return [key for key, _ in flatten(tree) if key.startswith("optimizer.") and key.rpartition(".")[2] == RATE]


def _scale_rates(node: Any, factor: float) -> Any:
    if isinstance(node, dict):
        return {key: value * factor if key == RATE else _scale_rates(value, factor) for key, value in node.items()}
    return node
