"""Words as tokens: frequent words, runs of spaces and marks have an id each, all else is spelt in bytes."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from assay.core.config import Tree, setting
from assay.text.piece import PieceTokenizer, text_of
from assay.text.tokenizer import Tokenizer, TokenizerConfig

PIECE = re.compile(r" ?\w+|\s+|[^\w\s]")  # one space belongs to the word after it: most spaces then cost nothing


class WordTokenizer(PieceTokenizer):
    """A piece is a word with the space before it, a run of white space, or a single mark."""

    kind = "word"

    def cut(self, text: str) -> Iterable[str]:
        """The words, spaces and marks in turn."""
        return PIECE.findall(text)


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
        for document in documents:
            counts.update(PIECE.findall(text_of(document)))
        known = [piece for piece, count in counts.items() if count > 1 and (len(piece) > 1 or ord(piece) > 127)]
        known = [piece for piece in known if not any(0xD800 <= ord(c) < 0xE000 for c in piece)]
        known.sort(key=lambda piece: (-counts[piece], piece))
        return WordTokenizer(known[: self.vocabulary - 257])

    @classmethod
    def restore(cls, tree: Tree) -> Tokenizer:
        """From the pieces."""
        return WordTokenizer(tree["pieces"])
