"""Tokenizers whose first 256 ids are the bytes: `byte`, and `char` and `word`, which add pieces of the training text.

Ids 0 to 255 are the bytes; then come the known pieces, then the end token. Text outside the known pieces is spelt in bytes. So any bytes
can be encoded and come back as they were, whether or not they were seen in training, and are UTF-8 or not.
"""

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import repeat
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from assay.core.config import setting
from assay.core.trees import Tree
from assay.text.chunks import BEFORE_SPACE, batch_chunks, encode_chunks, split_at
from assay.text.tokenizer import Ids, Tokenizer, TokenizerConfig
from assay.text.utf8 import code_points, decode_text, encode_text, list_characters, unfinished_character

BYTES = [bytes([byte]) for byte in range(256)]
CODE_POINTS = 0x110000
SURROGATES = slice(0xD800, 0xE000)
LONE_BYTES = slice(0xDC80, 0xDD00)  # the surrogates that stand for the bytes 128 to 255 where they are not UTF-8
CHARACTER = re.compile(rb"(?=[\x00-\x7f\xc0-\xff])")  # any character's first byte
PIECE = re.compile(r" ?\w+|\s+|[^\w\s]")  # one space belongs to the word after it: most spaces then cost nothing
GROWS = re.compile(r" ?\w+|\s+")  # a piece that what follows may make longer, of any length
WORD_START = re.compile(BEFORE_SPACE + rb"|(?=[!-/:-@\[-^`{-~])")  # also before an ASCII mark, which is always a piece of its own


class ByteTokenizer(Tokenizer):
    """Bytes as tokens, 257 ids: nothing is learnt and nothing is unknown."""

    def __init__(self) -> None:
        super().__init__(BYTES)

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Encode each byte as one id."""
        return [np.frombuffer(document, np.uint8).astype(self.dtype) for document in documents]

    def to_dict(self) -> Tree:
        """Write the kind, which is all there is to know."""
        return {"kind": "byte"}


class ByteConfig(TokenizerConfig):
    """One token a byte."""

    kind: Literal["byte"] = "byte"
    tokenizer = ByteTokenizer
    has_fixed_size: ClassVar[bool] = True

    @property
    def expected_vocab_size(self) -> int:
        """257 for every text."""
        return 257

    def train(self, documents: Sequence[bytes]) -> Tokenizer:
        """Make the tokenizer; it learns nothing from the text."""
        return ByteTokenizer()


class PieceTokenizer(Tokenizer):
    """V = 256 bytes, the known pieces, the end token. A kind cuts texts into pieces and looks up their ids."""

    kind: str
    boundary: ClassVar[re.Pattern[bytes]]  # where a long document may be cut, see `chunks.py`

    def __init__(self, pieces: Sequence[str]) -> None:
        if not all(isinstance(piece, str) and piece for piece in pieces) or len(set(pieces)) < len(pieces):
            raise ValueError("the pieces are not texts, each once")
        super().__init__([*BYTES, *map(encode_text, pieces)])
        self.pieces = list(pieces)

    @abstractmethod
    def cut(self, texts: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
        """Cut texts into pieces: those of all texts in turn (joined they are the texts), and how many each text has."""

    @abstractmethod
    def look_up(self, pieces: Sequence[str]) -> npt.NDArray[np.int32]:
        """Look up the id of each piece, -1 where it is not known."""

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Encode each document as the ids of its pieces, and of the bytes of an unknown piece."""
        return encode_chunks(documents, self.boundary, self._encode)

    def _encode(self, chunks: Sequence[bytes]) -> list[Ids]:
        pieces, counts = self.cut([decode_text(chunk) for chunk in chunks])
        ids = self.look_up(pieces)
        ends = np.cumsum(counts, dtype=np.int64)
        unknown = np.flatnonzero(ids < 0)
        if len(unknown):
            spellings = [encode_text(pieces[place]) for place in unknown.tolist()]
            widths = np.ones(len(ids), np.int64)
            widths[unknown] = list(map(len, spellings))
            ends = np.concatenate([[0], np.cumsum(widths)])[ends]
            ids = np.repeat(ids, widths)
            ids[ids < 0] = np.frombuffer(b"".join(spellings), np.uint8)
        return split_at(ids.astype(self.dtype), ends)

    def to_dict(self) -> Tree:
        """Write the kind and the pieces, in the order of their ids."""
        return {"kind": self.kind, "pieces": self.pieces}


class CharTokenizer(PieceTokenizer):
    """Characters as tokens: a piece is a Unicode code point. One of a single byte is that byte's id, so ASCII has the ids of `byte`."""

    kind = "char"
    boundary = CHARACTER

    def __init__(self, pieces: Sequence[str]) -> None:
        super().__init__(pieces)
        if any(len(piece) != 1 for piece in pieces):
            raise ValueError("the pieces are not single characters")

    def cut(self, texts: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
        """Cut into single characters."""
        return "".join(texts), list(map(len, texts))

    def settled_bytes(self, prompt: bytes) -> int:
        """Count all bytes but those of an unfinished character."""
        return len(prompt) - len(unfinished_character(prompt))

    def look_up(self, pieces: Sequence[str]) -> npt.NDArray[np.int32]:
        """Look up ids in a table of all code points."""
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
    tokenizer = CharTokenizer
    min_count: int = setting(1, "a rarer character is spelt in bytes", alternative=3, affects="data", ge=1)

    @property
    def expected_vocab_size(self) -> int:
        """V of an ASCII text: other characters are known once the text is read."""
        return 257

    def train(self, documents: Sequence[bytes]) -> Tokenizer:
        """Collect the characters of more than one byte, by code point; what is not UTF-8 stays bytes."""
        counts = np.zeros(CODE_POINTS, np.int64)
        for batch in batch_chunks(documents, CHARACTER):
            occurrences = np.bincount(code_points("".join(decode_text(chunk) for _, chunk in batch)))
            counts[: len(occurrences)] += occurrences
        counts[:128] = counts[SURROGATES] = 0
        return CharTokenizer([chr(code) for code in np.flatnonzero(counts >= self.min_count).tolist()])


class WordTokenizer(PieceTokenizer):
    """Words as tokens: a piece is a word with the space before it, a run of white space, or a single mark."""

    kind = "word"
    boundary = WORD_START

    def __init__(self, pieces: Sequence[str]) -> None:
        super().__init__(pieces)
        self.ids = {**{chr(byte): byte for byte in range(128)}, **{piece: 256 + index for index, piece in enumerate(pieces)}}

    def cut(self, texts: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
        """Cut into words, spaces and marks."""
        pieces: list[str] = []
        counts = []
        for text in texts:
            own = PIECE.findall(text)
            pieces += own
            counts.append(len(own))
        return pieces, counts

    def settled_bytes(self, prompt: bytes) -> int:
        """Count the bytes before the last word or run of spaces, if the prompt ends with one, and before an unfinished character."""
        whole = len(prompt) - len(unfinished_character(prompt))
        start = max((match.start() for match in self.boundary.finditer(prompt, 0, whole)), default=0)
        last = PIECE.findall(decode_text(prompt[start:whole]))[-1:]
        return whole - len(encode_text(last[0])) if last and GROWS.fullmatch(last[0]) else whole

    def beginnings(self, texts: Sequence[bytes]) -> list[set[tuple[int, ...]]]:
        """List the ids of each text's pieces, and those with the bytes of a last one that may become an unknown piece."""
        found = []
        for text, ids in zip(texts, self.encode(texts), strict=True):
            begun = unfinished_character(text)
            last = PIECE.findall(decode_text(text[: len(text) - len(begun)]))[-1:]
            spelt = [tuple(ids.tolist())]
            if last and last[0] in self.ids and GROWS.fullmatch(last[0]) and (not begun or _can_go_on(last[0], begun)):
                spelt.append((*spelt[0][: -1 - len(begun)], *encode_text(last[0]), *begun))
            found.append(set(spelt))
        return found

    def look_up(self, pieces: Sequence[str]) -> npt.NDArray[np.int32]:
        """Look up ids in a dictionary."""
        return np.fromiter(map(self.ids.get, pieces, repeat(-1)), np.int32, len(pieces))


@lru_cache(maxsize=1024)
def _kinds(begun: bytes) -> tuple[bool, bool]:
    """Whether an unfinished character may become one of a word, and white space."""
    characters = "".join(list_characters(begun))
    return re.search(r"\w", characters) is not None, re.search(r"\s", characters) is not None


def _can_go_on(piece: str, begun: bytes) -> bool:
    """Whether an unfinished character may become a part of the piece before it."""
    word, space = _kinds(begun)
    return (space and piece.isspace()) or (word and (piece == " " or not piece.isspace()))


class WordConfig(TokenizerConfig):
    """One token a frequent word of the training text."""

    kind: Literal["word"] = "word"
    tokenizer = WordTokenizer
    vocabulary: int = setting(8192, "tokens, the 256 bytes and the end token included", alternative=300, affects="data", ge=258)

    @property
    def expected_vocab_size(self) -> int:
        """The vocabulary asked for."""
        return self.vocabulary

    def train(self, documents: Sequence[bytes]) -> Tokenizer:
        """Take the most frequent pieces of more than one byte that occur twice, the earlier in the alphabet among equals."""
        counts: Counter[str] = Counter()
        for batch in batch_chunks(documents, WORD_START):
            for _, chunk in batch:
                counts.update(PIECE.findall(decode_text(chunk)))
        known = [piece for piece, count in counts.items() if count > 1 and (len(piece) > 1 or ord(piece) > 127)]
        known = [piece for piece in known if not any(0xD800 <= ord(c) < 0xE000 for c in piece)]
        known.sort(key=lambda piece: (-counts[piece], piece))
        return WordTokenizer(known[: self.vocabulary - 257])
