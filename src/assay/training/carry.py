"""The state that a model carries from the rows of one step to those of the next: where it is kept, and how it is saved.

A state is a tree of plain numbers and of tensors whose first axis is the rows (or is 1, for what all rows share). It is saved whole,
for all rows of the global batch, so that a run can go on with any number of processes and micro-batches.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from assay.core.parallel import Parallel
from assay.core.torch_internals import tree_flatten, tree_map, tree_unflatten
from assay.core.types import Batch, State
from assay.models.base import Model


class Place(NamedTuple):
    """Which rows of the global batch a micro-batch is."""

    begin: int
    stop: int
    total: int  # rows of the global batch


class Carry:
    """The states of this process's micro-batches after a step."""

    def __init__(self) -> None:
        self._states: dict[int, State] = {}  # by the index of the micro-batch
        self._places: dict[int, Place] = {}
        self._saved: list[Any] = []  # leaves for all rows, read from a checkpoint and taken apart when asked for

    def before(self, index: int, model: Model, batch: Batch, place: Place) -> State:
        """What micro-batch `index` begins with."""
        self._places[index] = place
        if bool(batch.fresh.all()):
            return model.init_state(len(batch.tokens))
        return self._states[index] if index in self._states else _rows_of(self._saved, model, place)

    def keep(self, index: int, state: State) -> None:
        """Remember what a micro-batch ended with; no gradient passes."""
        self._states[index] = tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, state)

    def leaves(self, parallel: Parallel) -> list[Any]:
        """The leaves for all rows of the global batch; every process has to ask."""
        if not self._states:
            return self._saved
        indices = sorted(self._states)
        counts = [self._places[index].stop - self._places[index].begin for index in indices]
        flat = [tree_flatten(self._states[index])[0] for index in indices]
        return [_joined(list(parts), counts, parallel) for parts in zip(*flat, strict=True)]

    def restore(self, leaves: list[Any]) -> None:
        """Go on from saved leaves."""
        self._states, self._saved = {}, leaves


def _joined(parts: list[Any], counts: list[int], parallel: Parallel) -> Any:
    """One leaf for the rows of all micro-batches and processes; what the rows of a micro-batch share, all rows share."""
    if not isinstance(parts[0], Tensor) or any(len(part) != count for part, count in zip(parts, counts, strict=True)):
        return parts[0]
    return parallel.joined(torch.cat(parts).cpu())


def _rows_of(leaves: list[Any], model: Model, place: Place) -> State:
    """The state of some rows; its structure is that of a state which the model begins with."""
    begun, structure = tree_flatten(model.init_state(1))
    assert len(leaves) == len(begun), "a carried state has another structure than the model's"
    device = next(model.parameters()).device
    chosen = [leaf if not isinstance(leaf, Tensor) else _slice(leaf, place).to(device) for leaf in leaves]
    return tree_unflatten(chosen, structure)


def _slice(leaf: Tensor, place: Place) -> Tensor:
    return leaf[place.begin : place.stop] if len(leaf) == place.total else leaf
