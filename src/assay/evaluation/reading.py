"""How a text is read for scoring: which rows, and hence what context each target has. Every target is scored once, whatever the reading."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from assay.text.store import Part

Ints = npt.NDArray[np.int64]


class Piece(NamedTuple):
    """Rows that are read at once; `tokens[:, :-1]` is read and `tokens[:, 1:]` predicted, what lies beyond a text being end tokens."""

    tokens: Ints  # [B, T+1]
    scored: npt.NDArray[np.bool_]  # [B, T] whether a target is scored here
    documents: Ints | None  # [B, T] the document of each target; None: documents are not isolated
    place: Ints  # [B, T] of each target in the part
    fresh: bool = True  # False: the rows go on with the state that the piece before left


class Reading(Protocol):
    """A text as units that can be read apart from each other: windows, documents or streams."""

    name: ClassVar[str]  # of its units, in the plural
    carries: ClassVar[bool]  # whether pieces may go on with a state

    @property
    def part(self) -> Part:
        """What is read."""

    def __len__(self) -> int:
        """How many units there are."""

    def batches(self, chosen: Ints, size: int) -> Iterator[Piece]:
        """The pieces of some units, about `size` rows at a time."""

    def unit_of(self, place: Ints) -> Ints:
        """The unit that scores each target."""

    def sees(self, place: Ints) -> Ints:
        """How many tokens each target sees; the end token with which every text begins is one."""

    def shared(self, reach: int | None) -> "Reading":
        """A reading with the same figures and less work, for a model whose predictions depend on `reach` tokens and their last one."""


def document_of(part: Part, place: Ints) -> Ints:
    """The document that each target belongs to; its end token belongs to it."""
    return np.searchsorted(part.offsets, place, side="right") - 1
