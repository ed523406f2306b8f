"""Corpora: a text as a sequence of documents, in the bytes it is made of."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from assay.core.config import Config

SEPARATOR = b"\n"  # follows every document of the raw text; the end token stands for it


def raw_sha256(documents: Iterable[bytes]) -> str:
    """sha256 of the raw text: every document followed by one newline."""
    raw = hashlib.sha256()
    for document in documents:
        raw.update(document)
        raw.update(SEPARATOR)
    return raw.hexdigest()


@dataclass(frozen=True)
class Corpus:
    """Documents without their separators, and where they come from."""

    name: str
    documents: Sequence[bytes]
    groups: Sequence[str] | None  # what each document belongs to, such as its book
    licence: str
    source: str

    @cached_property
    def sha256(self) -> str:
        """sha256 of the raw text."""
        return raw_sha256(self.documents)

    @property
    def byte_count(self) -> int:
        """Bytes of the raw text: those of the documents, and one newline after each."""
        return sum(map(len, self.documents)) + len(self.documents)


class CorpusConfig(Config, family="corpus", package="assay.text"):
    """Which text."""

    @abstractmethod
    def load(self, data_dir: Path | None) -> Corpus:
        """The documents. Raises DataError for a text that is missing, empty, changed or unreadable."""

    @abstractmethod
    def version(self, data_dir: Path | None) -> str:
        """What the text depends on besides this config, found without loading it: caches are keyed by both."""
