"""A corpus: a text as a sequence of documents in bytes, and the config that loads it."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from assay.core.config import Config

SEPARATOR = b"\n"  # follows every document of the raw text, unless that is contiguous; the end token stands for it


def raw_sha256(documents: Iterable[bytes], separator: bytes = SEPARATOR) -> str:
    """Hash the raw text: every document followed by the separator."""
    raw = hashlib.sha256()
    for document in documents:
        raw.update(document)
        raw.update(separator)
    return raw.hexdigest()


@dataclass(frozen=True)
class Corpus:
    """Documents without their separators, and where they come from.

    A contiguous text (`separator` empty) is its documents joined, byte for byte, and has no end tokens.
    """

    name: str
    documents: Sequence[bytes]
    groups: Sequence[str] | None  # what each document belongs to, such as its book
    licence: str
    source: str
    separator: bytes = SEPARATOR
    notes: tuple[str, ...] = ()  # remarks for the reader, such as that there are fewer documents than requested

    @cached_property
    def sha256(self) -> str:
        """sha256 of the raw text."""
        return raw_sha256(self.documents, self.separator)

    @property
    def byte_count(self) -> int:
        """Bytes of the raw text: those of the documents, and of the separator after each."""
        return sum(map(len, self.documents)) + len(self.separator) * len(self.documents)


class CorpusConfig(Config, family="corpus", package="assay.text"):
    """Which text to read."""

    @abstractmethod
    def load(self, data_dir: Path | None) -> Corpus:
        """Load the documents. Raises DataError for a text that is missing, empty, changed or unreadable."""

    @abstractmethod
    def version(self, data_dir: Path | None) -> str:
        """Find what the text depends on besides this config, without loading it: caches are keyed by both."""
