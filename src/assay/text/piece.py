"""What `char` and `word` share: known pieces of text have an id each, and everything else is spelt in bytes.

Ids 0 to 255 are the bytes, as in `byte`; then come the known pieces, then the end token. So any bytes can be encoded and come back
as they were, whether or not they were seen in training, and are UTF-8 or not.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from assay.core.config import Tree
from assay.text.tokenizer import Ids, Tokenizer

BYTES = [bytes([byte]) for byte in range(256)]


def text_of(document: bytes) -> str:
    """A document as characters; a byte that is not UTF-8 is a lone surrogate."""
    return document.decode("utf-8", "surrogateescape")


def bytes_of(piece: str) -> bytes:
    """The bytes of a piece, what was not UTF-8 included."""
    return piece.encode("utf-8", "surrogateescape")


class PieceTokenizer(Tokenizer):
    """V = 256 bytes, the known pieces, the end token. A kind says how a text is cut into pieces."""

    kind: str

    def __init__(self, pieces: Sequence[str]) -> None:
        super().__init__([*BYTES, *map(bytes_of, pieces)])
        self.pieces = list(pieces)
        self.ids = {**{chr(byte): byte for byte in range(128)}, **{piece: 256 + index for index, piece in enumerate(pieces)}}

    def cut(self, text: str) -> Iterable[str]:
        """The pieces of a text; joined they are the text."""
        raise TypeError(f"{type(self).__name__} does not define cut")

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """The ids of each document's pieces, those of its bytes where a piece is not known."""
        return [self._encode(text_of(document)) for document in documents]

    def _encode(self, text: str) -> Ids:
        known = [self.ids.get(piece, piece) for piece in self.cut(text)]
        ids = [token for entry in known for token in ((entry,) if isinstance(entry, int) else bytes_of(entry))]
        return np.array(ids, dtype=self.dtype)

    def tree(self) -> Tree:
        """The kind and the pieces, in the order of their ids."""
        return {"kind": self.kind, "pieces": self.pieces}
