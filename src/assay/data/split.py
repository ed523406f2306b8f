"""Split the documents of a text into training, validation and test: by hash, at random, or in order.

A split is made of whole documents, before any window is cut, so no window reaches from one part into another.
"""

import hashlib
from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Literal, NamedTuple, Self, get_args

import numpy as np
from pydantic import model_validator

from assay.core.config import Config, setting
from assay.core.seeds import numpy_generator
from assay.core.trees import digest
from assay.data.split_advice import check_shares, describe_empty_part
from assay.errors import ConfigError, DataError
from assay.text.corpus import SEPARATOR, raw_sha256
from assay.text.utf8 import character_start

PartName = Literal["train", "validation", "test"]
PARTS: tuple[PartName, ...] = get_args(PartName)
NEAR = 0.01  # of the whole text: how far a contiguous split moves a cut so that it falls between documents


class PlacedDocument(NamedTuple):
    """A document, or a piece of one, and the part it belongs to; `document` is the document's index in the corpus."""

    part: PartName
    document: int
    text: bytes


@dataclass(frozen=True)
class Split:
    """The documents of each part in the order of the corpus, and the index each has there."""

    documents: dict[PartName, list[bytes]]
    indices: dict[PartName, list[int]]
    separator: bytes  # after each document of the raw text
    warnings: tuple[str, ...] = ()  # of parts whose bytes are far from their shares

    def byte_counts(self) -> dict[PartName, int]:
        """Count the bytes of the raw text of each part."""
        return {part: sum(map(len, documents)) + len(self.separator) * len(documents) for part, documents in self.documents.items()}

    def sha256(self) -> str:
        """Compute the sha256 of which document is in which part."""
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

    validation: float = setting(0.05, "share of the text for validation", alternative=0.1, affects="data", gt=0, lt=1)
    test: float = setting(0.05, "share of the text for the test", alternative=0.1, affects="data", ge=0, lt=1)

    @model_validator(mode="after")
    def _leave_some_training(self) -> Self:
        if self.validation + self.test >= 1:
            raise ConfigError("validation", f"{self.validation} and test {self.test} leave nothing for training; their sum must be below 1")
        return self

    @abstractmethod
    def assign(self, documents: Sequence[bytes], separator: bytes) -> Iterator[PlacedDocument]:
        """Assign every document, or every piece of it, to a part, in the order of the corpus."""

    @property
    def shares(self) -> dict[PartName, float]:
        """The share of each part."""
        return {"train": 1 - self.validation - self.test, "validation": self.validation, "test": self.test}

    def apply(self, documents: Sequence[bytes], separator: bytes = SEPARATOR) -> Split:
        """Split the documents. Raises DataError when a part with a share above 0 would be empty; warns where its bytes are far from it."""
        split = self.place(documents, separator)
        for part, share in self.shares.items():
            if share > 0 and not split.documents[part]:
                raise DataError(describe_empty_part(self, documents, separator, part))
        return replace(split, warnings=check_shares(self, split, documents))

    def place(self, documents: Sequence[bytes], separator: bytes) -> Split:
        """Put every document, or every piece of it, into its part, whatever comes of it."""
        split = Split({part: [] for part in PARTS}, {part: [] for part in PARTS}, separator)
        for part, index, text in self.assign(documents, separator):
            split.documents[part].append(text)
            split.indices[part].append(index)
        return split


class HashConfig(SplitConfig):
    """Split by content: the hash of a document decides its part, and the shares hold on average, of the number of different documents.

    `u = sha256(salt, document) / 2^256` is in [0, 1): validation below `validation`, test below `validation + test`, else
    training. A document keeps its part whatever is added to the corpus or taken from it, and equal documents share one.
    """

    kind: Literal["hash"] = "hash"
    salt: str = setting("", "text hashed with each document; another salt gives another split", alternative="pepper", affects="data")

    def assign(self, documents: Sequence[bytes], separator: bytes) -> Iterator[PlacedDocument]:
        """Assign each document by its own content alone."""
        for index, document in enumerate(documents):
            yield PlacedDocument(self._part(document), index, document)

    def _part(self, document: bytes) -> PartName:
        value = hashlib.sha256(self.salt.encode() + b"\0" + document).digest()
        fraction = int.from_bytes(value[:6]) / 2**48  # 48 bits are exact in a float, and 1.0 is never reached
        if fraction < self.validation:
            return "validation"
        return "test" if fraction < self.validation + self.test else "train"


class ShuffleConfig(SplitConfig):
    """Shuffle the different documents and count them off: exact shares of their number, at least one for each share above 0.

    Equal documents stay together, so the shares of the bytes are exact only where documents are equally long and none is repeated; what
    is far from its share is told. A changed corpus gives another split.
    """

    kind: Literal["shuffle"] = "shuffle"
    seed: int = setting(1337, "seed of the shuffle; another seed gives another split", alternative=1338, affects="data", ge=0)

    def assign(self, documents: Sequence[bytes], separator: bytes) -> Iterator[PlacedDocument]:
        """Assign the beginning of the shuffled contents to validation, what follows to the test, the rest to training."""
        contents = list(dict.fromkeys(documents))
        validation = self._count(self.validation, len(contents))
        test = validation + self._count(self.test, len(contents))
        order = numpy_generator(self.seed, "data").permutation(len(contents))
        parts: dict[bytes, PartName] = {
            contents[content]: "validation" if rank < validation else "test" if rank < test else "train"
            for rank, content in enumerate(order)
        }
        for index, document in enumerate(documents):
            yield PlacedDocument(parts[document], index, document)

    def _count(self, share: float, contents: int) -> int:
        return max(1, round(share * contents)) if share > 0 else 0


class ContiguousConfig(SplitConfig):
    """Cut the text in its order: training is the beginning, then comes validation, then the test; shares are of bytes.

    A document that is repeated may be on both sides of a cut. A cut falls between documents, unless that would move it by more than
    a hundredth of the text (a play or an encyclopaedia in one file): then the document is cut where the share says, moved back to the
    start of a UTF-8 character. With `exact` every cut is at the very byte, as the 90, 5 and 5 million bytes of enwik8 are. Each piece
    is from then on a document of its own; in a text with end tokens it has one too, and a newline, so a cut inside a document adds
    one byte to the raw text.
    """

    kind: Literal["contiguous"] = "contiguous"
    exact: bool = setting(False, "cut at the very byte instead of between documents", alternative=True, affects="data")

    def assign(self, documents: Sequence[bytes], separator: bytes) -> Iterator[PlacedDocument]:
        """Assign the pieces between the cuts; a document without a cut in it is one piece."""
        starts = list(accumulate((len(document) + len(separator) for document in documents), initial=0))
        places = [round(share * starts[-1]) for share in (1 - self.validation - self.test, 1 - self.test)]
        cuts = [0, *(place if self.exact else find_cut(place, documents, starts) for place in places), starts[-1]]
        for index, document in enumerate(documents):
            start = starts[index]
            for part, (first, last) in zip(PARTS, pairwise(cuts), strict=True):
                piece = document[max(first - start, 0) : max(last - start, 0)]
                if piece:
                    yield PlacedDocument(part, index, piece)


def find_cut(place: int, documents: Sequence[bytes], starts: Sequence[int]) -> int:
    """Find the byte of the raw text at which to cut: a document's start, or the start of a character inside a document."""
    after = bisect_left(starts, place)
    nearest = min(starts[max(after - 1, 0) : after + 1], key=lambda start: abs(start - place))
    if abs(nearest - place) <= NEAR * starts[-1]:
        return nearest
    document, offset = documents[after - 1], place - starts[after - 1]
    if offset >= len(document):
        return starts[after]
    return starts[after - 1] + character_start(document, offset)
