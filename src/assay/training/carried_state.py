"""Carry the state of a model from the rows of one step to those of the next, and save it.

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


class RowRange(NamedTuple):
    """The rows of the global batch that a micro-batch consists of."""

    begin: int
    stop: int
    total: int  # rows of the global batch


class CarriedState:
    """The states of this process's micro-batches after a step."""

    def __init__(self) -> None:
        self._states: dict[int, State] = {}  # by the index of the micro-batch
        self._row_ranges: dict[int, RowRange] = {}
        self._saved: list[Any] = []  # leaves for all rows, read from a checkpoint, split where they are needed

    def get(self, index: int, model: Model, batch: Batch, rows: RowRange) -> State:
        """Return the state that micro-batch `index` starts with."""
        self._row_ranges[index] = rows
        if bool(batch.resets_state.all()):
            return model.init_state(len(batch.tokens))
        return self._states[index] if index in self._states else _select_rows(self._saved, model, rows)

    def set(self, index: int, state: State) -> None:
        """Keep the state that a micro-batch ended with, without its gradient."""
        self._states[index] = tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, state)

    def gather_leaves(self, parallel: Parallel) -> list[Any]:
        """Gather the leaves for all rows of the global batch; every process has to call this."""
        if not self._states:
            return self._saved
        indices = sorted(self._states)
        counts = [self._row_ranges[index].stop - self._row_ranges[index].begin for index in indices]
        flat = [tree_flatten(self._states[index])[0] for index in indices]
        return [_concatenate(list(parts), counts, parallel) for parts in zip(*flat, strict=True)]

    def load_leaves(self, leaves: list[Any]) -> None:
        """Restore saved leaves."""
        self._states, self._saved = {}, leaves


def _concatenate(parts: list[Any], counts: list[int], parallel: Parallel) -> Any:
    """Concatenate a leaf over all micro-batches and processes; what the rows of a micro-batch share, all rows share."""
    if not isinstance(parts[0], Tensor) or any(len(part) != count for part, count in zip(parts, counts, strict=True)):
        return parts[0]
    return parallel.all_gather(torch.cat(parts).cpu())


def _select_rows(leaves: list[Any], model: Model, rows: RowRange) -> State:
    """Select the state of some rows; its structure is that of an initial state of the model."""
    initial, structure = tree_flatten(model.init_state(1))
    assert len(leaves) == len(initial), "a carried state has another structure than the model's"
    device = next(model.parameters()).device

    def select(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        return (leaf[rows.begin : rows.stop] if len(leaf) == rows.total else leaf).to(device)

    return tree_unflatten([select(leaf) for leaf in leaves], structure)
