"""Splits: which documents are for training, which for validation and which for the test.

A split is made of whole documents, before any window is cut, so no window reaches from one part into another.
"""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self, get_args

import numpy as np
from pydantic import model_validator

from assay.core.config import Config, digest, setting
from assay.errors import ConfigError, DataError
from assay.text.corpus import SEPARATOR, raw_sha256

PartName = Literal["train", "validation", "test"]
PARTS: tuple[PartName, ...] = get_args(PartName)


class Placed(NamedTuple):
    """A document, or a piece of one, and the part it belongs to; `origin` is the document's index in the corpus."""

    part: PartName
    origin: int
    text: bytes


@dataclass(frozen=True)
class Split:
    """The documents of each part in the order of the corpus, and the index each has there."""

    documents: dict[PartName, list[bytes]]
    indices: dict[PartName, list[int]]
    separator: bytes  # after each document of the raw text

    def sha256(self) -> str:
        """sha256 of which document is in which part."""
        return digest(
            {
                part: [
                    hashlib.sha256(np.array(self.indices[part], "<i8").tobytes()).hexdigest(),
                    raw_sha256(self.documents[part], self.separator),
                ]
                for part in PARTS
            }
        )


class SplitConfig(Config, family="split", package="assay.data"):
    """The shares of validation and test; training is the rest."""

    validation: float = setting(0.05, "share of the text for validation", other=0.1, bites="data", gt=0, lt=1)
    test: float = setting(0.05, "share of the text for the test", other=0.1, bites="data", ge=0, lt=1)

    @model_validator(mode="after")
    def _leave_some_training(self) -> Self:
        if self.validation + self.test >= 1:
            raise ConfigError(
                "validation",
                f"{self.validation} and test {self.test} leave nothing for training; their sum must be below 1",
            )
        return self

    @abstractmethod
    def place(self, documents: Sequence[bytes], separator: bytes) -> Iterator[Placed]:
        """Every document, or every piece of it, once, in the order of the corpus."""

    def apply(self, documents: Sequence[bytes], separator: bytes = SEPARATOR) -> Split:
        """The parts. Raises DataError when one that is asked for would be empty."""
        split = Split({part: [] for part in PARTS}, {part: [] for part in PARTS}, separator)
        for part, origin, text in self.place(documents, separator):
            split.documents[part].append(text)
            split.indices[part].append(origin)
        asked = {"train": 1.0, "validation": self.validation, "test": self.test}
        for part in PARTS:
            if asked[part] > 0 and not split.documents[part]:
                raise DataError(
                    f"split: {len(documents)} documents leave the {part} part empty; use a longer text, "
                    "change split.validation or split.test, or cut inside documents with split=contiguous"
                )
        return split
