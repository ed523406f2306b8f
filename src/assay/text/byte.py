"""Bytes as tokens: ids 0 to 255 are the bytes, 256 is the end token. Nothing is learnt and nothing is unknown."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from assay.core.config import Tree
from assay.text.tokenizer import Ids, Tokenizer, TokenizerConfig


class ByteTokenizer(Tokenizer):
    """257 ids."""

    def __init__(self) -> None:
        super().__init__([bytes([byte]) for byte in range(256)])

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """One id a byte."""
        return [np.frombuffer(document, np.uint8).astype(self.dtype) for document in documents]

    def tree(self) -> Tree:
        """The kind alone."""
        return {"kind": "byte"}


class ByteConfig(TokenizerConfig):
    """One token a byte."""

    kind: Literal["byte"] = "byte"

    @property
    def expected_size(self) -> int:
        """Always this."""
        return 257

    def train(self, documents: Sequence[bytes]) -> Tokenizer:
        """Needs no text."""
        return ByteTokenizer()

    @classmethod
    def restore(cls, tree: Tree) -> Tokenizer:
        """Needs no data."""
        return ByteTokenizer()
