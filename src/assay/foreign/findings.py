"""What a check found, as data: each finding has a kind and numbers, and makes a sentence of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, overload


class Finding(ABC):
    """One thing that was found."""

    kind: str

    @property
    @abstractmethod
    def sentence(self) -> str:
        """The finding for people."""

    @property
    @abstractmethod
    def harmless(self) -> bool:
        """Whether it is good to know and makes no figure wrong."""

    @abstractmethod
    def tree(self) -> dict[str, Any]:
        """As plain values."""


class Findings(Sequence[Finding]):
    """All that was found; printed, a sentence a line. True where there is anything, even if it is harmless: see `ok`."""

    def __init__(self, found: Iterable[Finding] = ()) -> None:
        self._found = tuple(found)

    @property
    def ok(self) -> bool:
        """Whether nothing harmful was found."""
        return all(finding.harmless for finding in self)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each."""
        return tuple(finding.kind for finding in self)

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> "Findings": ...
    def __getitem__(self, index: int | slice) -> "Finding | Findings":
        return Findings(self._found[index]) if isinstance(index, slice) else self._found[index]

    def __add__(self, other: "Findings") -> "Findings":
        return Findings((*self, *other))

    def __str__(self) -> str:
        return "\n".join(finding.sentence for finding in self) or "nothing was found"

    __repr__ = __str__

    def tree(self) -> list[dict[str, Any]]:
        """As plain values."""
        return [finding.tree() for finding in self]
