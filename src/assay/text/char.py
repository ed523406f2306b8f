"""Characters as tokens: every character of the training text has an id, any other is spelt in bytes.

A character of one byte is that byte's id, so an ASCII text has the ids of `byte`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from assay.core.config import Tree, setting
from assay.text.piece import PieceTokenizer, text_of
from assay.text.tokenizer import Tokenizer, TokenizerConfig


class CharTokenizer(PieceTokenizer):
    """A piece is a Unicode code point."""

    kind = "char"

    def cut(self, text: str) -> Iterable[str]:
        """One character at a time."""
        return text


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
        counts: Counter[str] = Counter()
        for document in documents:
            counts.update(text_of(document))
        known = (character for character, count in counts.items() if count >= self.min_count)
        return CharTokenizer(sorted(c for c in known if ord(c) > 127 and not 0xD800 <= ord(c) < 0xE000))

    @classmethod
    def restore(cls, tree: Tree) -> Tokenizer:
        """From the pieces."""
        return CharTokenizer(tree["pieces"])
