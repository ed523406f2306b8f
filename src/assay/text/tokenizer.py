"""Tokenizers turn bytes into ids and back without loss, and know how many bytes each id stands for.

The last id of every tokenizer is the end token. It is never made from text: it stands for the newline that follows each
document of the raw text, so bits per byte counts it as one byte.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from assay.core.config import Config
from assay.core.files import write_durably
from assay.core.trees import Tree, digest
from assay.core.words import shorten
from assay.errors import DataError, suggest
from assay.text.corpus import SEPARATOR

Ids = npt.NDArray[np.unsignedinteger[Any]]
ENCODED = 4096  # documents that `encode_gradually` encodes at once
DECODED = 2**16  # ids that `decode` looks up at once
FEW = 128  # ids up to which looking them up one by one is faster


class Tokenizer(ABC):
    """`token_bytes[id]` is the bytes that an id stands for, V = `vocab_size` of them, the end token included."""

    def __init__(self, token_bytes: Sequence[bytes]) -> None:
        self.token_bytes = [*token_bytes, SEPARATOR]

    @abstractmethod
    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Encode each document as ids of `dtype`, without the end token. Any bytes are accepted."""

    def encode_gradually(self, documents: Sequence[bytes]) -> Iterator[Ids]:
        """Encode each document, with the ids of `ENCODED` documents in memory at a time."""
        for start in range(0, len(documents), ENCODED):
            yield from self.encode(documents[start : start + ENCODED])

    def settled_bytes(self, prompt: bytes) -> int:
        """Count the bytes at the beginning of a prompt whose tokens stay the same whatever follows the prompt."""
        return len(prompt)

    def beginnings(self, texts: Sequence[bytes]) -> list[set[tuple[int, ...]]]:
        """List for each text all ids that stand for exactly its bytes and with which some longer text's encoding, or its own, begins.

        A text follows settled bytes. It may end inside a word or a character, which what follows then decides.
        """
        return [{tuple(ids.tolist())} for ids in self.encode(texts)]

    @abstractmethod
    def to_dict(self) -> Tree:
        """Write its `kind` and, by their names, the arguments of its class that make the same tokenizer, as plain data."""

    @property
    def vocab_size(self) -> int:
        """V, the end token included."""
        return len(self.token_bytes)

    @property
    def end_id(self) -> int:
        """The id of the end token."""
        return self.vocab_size - 1

    @property
    def dtype(self) -> "np.dtype[np.unsignedinteger[Any]]":
        """The smallest little-endian type that holds every id."""
        return np.dtype("<u2") if self.vocab_size <= 2**16 else np.dtype("<u4")

    @cached_property
    def byte_lengths(self) -> npt.NDArray[np.int64]:
        """[V] bytes of raw text that each id stands for."""
        return np.array([len(spelling) for spelling in self.token_bytes], dtype=np.int64)

    @cached_property
    def digest(self) -> str:
        """sha256 of `to_dict()`."""
        return digest(self.to_dict())

    def decode(self, ids: Iterable[int]) -> bytes:
        """Decode ids to bytes; the end token is a newline. Many ids are looked up in an array, few one by one, which is faster."""
        if isinstance(ids, np.ndarray):
            if len(ids) > FEW:
                return b"".join([self._decode_array(ids[start : start + DECODED]) for start in range(0, len(ids), DECODED)])
            ids = ids.tolist()
        return b"".join([self.token_bytes[token] for token in ids])

    @cached_property
    def _joined_bytes(self) -> npt.NDArray[np.uint8]:
        """The bytes of all tokens, one after the other."""
        return np.frombuffer(b"".join(self.token_bytes), np.uint8)

    def _decode_array(self, ids: "npt.NDArray[np.integer[Any]]") -> bytes:
        lengths, starts = self.byte_lengths[ids], (np.cumsum(self.byte_lengths) - self.byte_lengths)[ids]
        places = np.repeat(
            starts - (np.cumsum(lengths) - lengths), lengths
        )  # of each byte in the joined bytes, less its place in the result
        return bytes(self._joined_bytes[places + np.arange(len(places))])

    def save(self, path: Path) -> None:
        """Write a file from which `load_tokenizer` makes the same tokenizer."""
        write_durably(path, json.dumps({**self.to_dict(), "byte_lengths": self.byte_lengths.tolist()}))


class TokenizerConfig(Config, family="tokenizer", package="assay.text"):
    """How bytes become ids."""

    tokenizer: ClassVar[Callable[..., Tokenizer]]  # the class of the tokenizers that `train` makes
    has_fixed_size: ClassVar[bool] = False  # whether every text gives as many tokens

    @property
    @abstractmethod
    def expected_vocab_size(self) -> int:
        """V, the end token included, with a large enough text."""

    @abstractmethod
    def train(self, documents: Sequence[bytes]) -> Tokenizer:
        """Train the tokenizer on these documents, the training part."""

    @classmethod
    def restore(cls, tree: Tree) -> Tokenizer:
        """Make the tokenizer whose `to_dict()` this is."""
        return cls.tokenizer(**{name: value for name, value in tree.items() if name != "kind"})


def load_tokenizer(path: Path) -> Tokenizer:
    """Load a saved tokenizer. Raises DataError when the file is missing or damaged."""
    remedy = "copy tokenizer.json from the run it belongs to"
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        kind = str(tree["kind"])
    except OSError as error:
        raise DataError(f"the tokenizer {path} cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{path} is not a tokenizer that Assay saved; {remedy}") from None
    assert TokenizerConfig.family is not None
    kinds = TokenizerConfig.family.kinds
    if kind not in kinds:
        raise DataError(f"{path} holds a tokenizer of the unknown kind '{kind}'; {suggest(kind, kinds)}")
    config = kinds[kind]
    assert issubclass(config, TokenizerConfig)
    lengths = tree.pop("byte_lengths", None)
    try:
        restored = config.restore(tree)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} holds a damaged {kind} tokenizer ({shorten(repr(error))}); {remedy}") from None
    if lengths is not None and lengths != restored.byte_lengths.tolist():
        raise DataError(f"{path} holds a damaged {kind} tokenizer (its byte_lengths are not those of its tokens); {remedy}")
    return restored
