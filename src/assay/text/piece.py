"""What `char` and `word` share: known pieces of text have an id each, and everything else is spelt in bytes.

Ids 0 to 255 are the bytes, as in `byte`; then come the known pieces, then the end token. So any bytes can be encoded and come back
as they were, whether or not they were seen in training, and are UTF-8 or not.
"""

import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from assay.core.config import Tree
from assay.text.chunks import encode_chunks, split_at
from assay.text.tokenizer import Ids, Tokenizer

BYTES = [bytes([byte]) for byte in range(256)]


def text_of(document: bytes) -> str:
    """A document as characters; a byte that is not UTF-8 is a lone surrogate."""
    return document.decode("utf-8", "surrogateescape")


def bytes_of(piece: str) -> bytes:
    """The bytes of a piece, what was not UTF-8 included."""
    return piece.encode("utf-8", "surrogateescape")


class PieceTokenizer(Tokenizer):
    """V = 256 bytes, the known pieces, the end token. A kind says how texts are cut into pieces and finds their ids."""

    kind: str
    boundary: ClassVar[re.Pattern[bytes]]  # where a long document may be cut, as `chunks` asks

    def __init__(self, pieces: Sequence[str]) -> None:
        super().__init__([*BYTES, *map(bytes_of, pieces)])
        self.pieces = list(pieces)

    @abstractmethod
    def cut(self, texts: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
        """The pieces of all texts in turn, joined they are the texts, and how many each text has."""

    @abstractmethod
    def look_up(self, pieces: Sequence[str]) -> npt.NDArray[np.int32]:
        """The id of each piece, -1 where it is not known."""

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """The ids of each document's pieces, those of its bytes where a piece is not known."""
        return encode_chunks(documents, self.boundary, self._encode)

    def _encode(self, chunks: Sequence[bytes]) -> list[Ids]:
        pieces, counts = self.cut([text_of(chunk) for chunk in chunks])
        ids = self.look_up(pieces)
        ends = np.cumsum(counts, dtype=np.int64)
        unknown = np.flatnonzero(ids < 0)
        if len(unknown):
            spelt = [bytes_of(pieces[place]) for place in unknown.tolist()]
            widths = np.ones(len(ids), np.int64)
            widths[unknown] = list(map(len, spelt))
            ends = np.concatenate([[0], np.cumsum(widths)])[ends]
            ids = np.repeat(ids, widths)
            ids[ids < 0] = np.frombuffer(b"".join(spelt), np.uint8)
        return split_at(ids.astype(self.dtype), ends)

    def tree(self) -> Tree:
        """The kind and the pieces, in the order of their ids."""
        return {"kind": self.kind, "pieces": self.pieces}
