"""Words as tokens: frequent words, runs of spaces and marks have an id each, all else is spelt in bytes."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from typing import Literal

import numpy as np
import numpy.typing as npt

from assay.core.config import Tree, setting
from assay.text.chunks import SPACE, batches
from assay.text.piece import PieceTokenizer, text_of
from assay.text.tokenizer import Tokenizer, TokenizerConfig

PIECE = re.compile(r" ?\w+|\s+|[^\w\s]")  # one space belongs to the word after it: most spaces then cost nothing
BOUNDARY = re.compile(SPACE + rb"|(?=[!-/:-@\[-^`{-~])")  # and before an ASCII mark, which is always a piece of its own


class WordTokenizer(PieceTokenizer):
    """A piece is a word with the space before it, a run of white space, or a single mark."""

    kind = "word"
    boundary = BOUNDARY

    def __init__(self, pieces: Sequence[str]) -> None:
        super().__init__(pieces)
        self.ids = {**{chr(byte): byte for byte in range(128)}, **{piece: 256 + index for index, piece in enumerate(pieces)}}

    def cut(self, texts: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
        """The words, spaces and marks in turn."""
        pieces: list[str] = []
        counts = []
        for text in texts:
            found = PIECE.findall(text)
            pieces += found
            counts.append(len(found))
        return pieces, counts

    def look_up(self, pieces: Sequence[str]) -> npt.NDArray[np.int32]:
        """From a dictionary."""
        return np.fromiter(map(self.ids.get, pieces, repeat(-1)), np.int32, len(pieces))


class WordConfig(TokenizerConfig):
    """One token a frequent word of the training text."""

    kind: Literal["word"] = "word"
    vocabulary: int = setting(8192, "tokens, the 256 bytes and the end token included", other=300, bites="data", ge=258)

    @property
    def expected_size(self) -> int:
        """The vocabulary asked for."""
        return self.vocabulary

    def train(self, documents: Sequence[bytes]) -> Tokenizer:
        """The most frequent pieces of more than one byte that occur twice, the earlier in the alphabet among equals."""
        counts: Counter[str] = Counter()
        for batch in batches(documents, BOUNDARY):
            for _, chunk in batch:
                counts.update(PIECE.findall(text_of(chunk)))
        known = [piece for piece, count in counts.items() if count > 1 and (len(piece) > 1 or ord(piece) > 127)]
        known = [piece for piece in known if not any(0xD800 <= ord(c) < 0xE000 for c in piece)]
        known.sort(key=lambda piece: (-counts[piece], piece))
        return WordTokenizer(known[: self.vocabulary - 257])

    @classmethod
    def restore(cls, tree: Tree) -> Tokenizer:
        """From the pieces."""
        return WordTokenizer(tree["pieces"])
