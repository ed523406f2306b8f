"""Characters as tokens: every character of the training text has an id, any other is spelt in bytes.

A character of one byte is that byte's id, so an ASCII text has the ids of `byte`.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from assay.core.config import Tree, setting
from assay.text.chunks import batches
from assay.text.piece import PieceTokenizer, text_of
from assay.text.tokenizer import Tokenizer, TokenizerConfig

CODE_POINTS = 0x110000
SURROGATES = slice(0xD800, 0xE000)
LONE_BYTES = slice(0xDC80, 0xDD00)  # the surrogates that stand for the bytes 128 to 255 where they are not UTF-8
BOUNDARY = re.compile(rb"(?=[\x00-\x7f\xc0-\xff])")  # any character's first byte


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The number of each character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


class CharTokenizer(PieceTokenizer):
    """A piece is a Unicode code point."""

    kind = "char"
    boundary = BOUNDARY

    def cut(self, texts: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
        """One character at a time."""
        return "".join(texts), list(map(len, texts))

    def look_up(self, pieces: Sequence[str]) -> npt.NDArray[np.int32]:
        """From a table of all code points."""
        return self._ids[code_points("".join(pieces))]

    @cached_property
    def _ids(self) -> npt.NDArray[np.int32]:
        ids = np.full(CODE_POINTS, -1, np.int32)
        ids[:128] = np.arange(128)
        ids[LONE_BYTES] = np.arange(128, 256)
        ids[[ord(piece) for piece in self.pieces]] = np.arange(256, 256 + len(self.pieces))
        return ids


class CharConfig(TokenizerConfig):
    """One token a character of the training text."""

    kind: Literal["char"] = "char"
    min_count: int = setting(1, "a rarer character is spelt in bytes", other=3, bites="data", ge=1)

    @property
    def expected_size(self) -> int:
        """That of an ASCII text: other characters are known once the text is read."""
        return 257

    def train(self, documents: Sequence[bytes]) -> Tokenizer:
        """The characters of more than one byte, by code point; what is not UTF-8 stays bytes."""
        counts = np.zeros(CODE_POINTS, np.int64)
        for batch in batches(documents, BOUNDARY):
            found = np.bincount(code_points("".join(text_of(chunk) for _, chunk in batch)))
            counts[: len(found)] += found
        counts[:128] = counts[SURROGATES] = 0
        return CharTokenizer([chr(code) for code in np.flatnonzero(counts >= self.min_count).tolist()])

    @classmethod
    def restore(cls, tree: Tree) -> Tokenizer:
        """From the pieces."""
        return CharTokenizer(tree["pieces"])
