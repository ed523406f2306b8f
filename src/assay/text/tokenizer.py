"""Tokenizers: from bytes to ids and back without loss, and how many bytes each id stands for.

The last id of every tokenizer is the end token. It is never made from text: it stands for the newline that follows each
document of the raw text, so it has one byte in the account of bits per byte.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.core.config import Config, Tree, digest
from assay.errors import DataError, nearest
from assay.text.corpus import SEPARATOR

Ids = npt.NDArray[np.unsignedinteger[Any]]
DECODED = 2**16  # ids that `decode` spells at once
FEW = 128  # ids that are spelt sooner one by one


class Tokenizer(ABC):
    """`spellings[id]` is the bytes an id stands for; V = `size` of them, the end token included."""

    def __init__(self, spellings: Sequence[bytes]) -> None:
        self.spellings = [*spellings, SEPARATOR]

    @abstractmethod
    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """The ids of each document, without the end token, in `dtype`. Any bytes are accepted."""

    @abstractmethod
    def tree(self) -> Tree:
        """Plain data with the `kind`, and all that its config's `restore` needs."""

    @property
    def size(self) -> int:
        """V, the end token included."""
        return len(self.spellings)

    @property
    def end(self) -> int:
        """The id of the end token."""
        return self.size - 1

    @property
    def dtype(self) -> "np.dtype[np.unsignedinteger[Any]]":
        """The smallest little-endian type that holds every id."""
        return np.dtype("<u2") if self.size <= 2**16 else np.dtype("<u4")

    @cached_property
    def byte_lengths(self) -> npt.NDArray[np.int64]:
        """[V] bytes of raw text that each id stands for."""
        return np.array([len(spelling) for spelling in self.spellings], dtype=np.int64)

    @cached_property
    def digest(self) -> str:
        """sha256 of all that the tokenizer is."""
        return digest(self.tree())

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes of some ids; the end token is a newline."""
        if isinstance(ids, np.ndarray):
            if len(ids) > FEW:
                return b"".join([self._spell(ids[start : start + DECODED]) for start in range(0, len(ids), DECODED)])
            ids = ids.tolist()
        return b"".join([self.spellings[token] for token in ids])

    @cached_property
    def _joined(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """All spellings one after the other, and where each begins."""
        return np.frombuffer(b"".join(self.spellings), np.uint8), np.cumsum(self.byte_lengths) - self.byte_lengths

    def _spell(self, ids: "npt.NDArray[np.integer[Any]]") -> bytes:
        spelt, starts = self._joined
        lengths = self.byte_lengths[ids]
        begins = np.cumsum(lengths) - lengths
        places = np.repeat(starts[ids] - begins, lengths)  # of each byte of the result in `spelt`, less its place in the result
        places += np.arange(len(places))
        return bytes(spelt[places])

    def save(self, path: Path) -> None:
        """Write a file from which `load_tokenizer` makes the same tokenizer, wherever it lies."""
        path.write_text(json.dumps({**self.tree(), "byte_lengths": self.byte_lengths.tolist()}), encoding="utf-8")


class TokenizerConfig(Config, family="tokenizer", package="assay.text"):
    """How bytes become ids."""

    @property
    @abstractmethod
    def expected_size(self) -> int:
        """V, the end token included, that a large enough text gives."""

    @abstractmethod
    def train(self, documents: Sequence[bytes]) -> Tokenizer:
        """The tokenizer that these documents, the training part, give."""

    @classmethod
    @abstractmethod
    def restore(cls, tree: Tree) -> Tokenizer:
        """The tokenizer whose `tree()` this is."""


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that was saved in a file. Raises DataError when the file is missing or damaged."""
    remedy = "copy tokenizer.json from the run it belongs to"
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        kind = str(tree["kind"])
    except OSError as error:
        raise DataError(f"the tokenizer {path} cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is not a tokenizer that Assay saved; {remedy}") from None
    assert TokenizerConfig.family is not None
    kinds = TokenizerConfig.family.kinds
    if kind not in kinds:
        raise DataError(f"{path} holds a tokenizer of the unknown kind '{kind}'; {nearest(kind, kinds)}")
    config = kinds[kind]
    assert issubclass(config, TokenizerConfig)
    lengths = tree.pop("byte_lengths", None)
    try:
        restored = config.restore(tree)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} holds a damaged {kind} tokenizer ({error!r}); {remedy}") from None
    if lengths is not None and lengths != restored.byte_lengths.tolist():
        raise DataError(f"{path} holds a damaged {kind} tokenizer (its byte_lengths are not those of its tokens); {remedy}")
    return restored
