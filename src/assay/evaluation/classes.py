"""Classes of tokens: which kind of text the bits go to.

The class of a token is that of its first byte that is not white space, so that " the" is letters and a token of spaces alone is white
space. With a byte tokenizer each byte is its own class; bytes outside ASCII are told apart from nothing, as one byte of a character
does not say what it is.
"""

import string
from typing import Any

import numpy as np

from assay.evaluation.breakdown import breakdown
from assay.evaluation.reading import Ints
from assay.evaluation.targets import WHITE_SPACE, Targets
from assay.text.tokenizer import Tokenizer

CLASSES = ("letters", "digits", "punctuation", "not ASCII", "white space", "end token")
LETTERS, DIGITS, PUNCTUATION, BEYOND, SPACE, END = range(len(CLASSES))


def by_class(targets: Targets, unit: Ints) -> list[dict[str, Any]]:
    """A row for each class that occurs."""
    label = token_classes(targets.tokenizer)[targets.tokens]
    return breakdown(targets, unit, label, CLASSES)


def token_classes(tokenizer: Tokenizer) -> Ints:
    """[V] the class of each token."""
    found = np.array([_class(tokenizer.decode([token])) for token in range(tokenizer.size)], dtype=np.int64)
    found[tokenizer.end] = END
    return found


def _class(spelling: bytes) -> int:
    rest = spelling.lstrip(WHITE_SPACE)
    if not rest:
        return SPACE
    first = rest[:1]
    if first in string.ascii_letters.encode():
        return LETTERS
    if first in string.digits.encode():
        return DIGITS
    return PUNCTUATION if first[0] < 0x80 else BEYOND
