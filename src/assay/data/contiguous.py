"""A split by place: training is the beginning of the text, then comes validation, then the test.

The order is kept and nothing is looked at, so a document that is repeated may be on both sides of a cut. A cut falls
between documents, unless that would move it by more than a hundredth of the text (a play or an encyclopaedia in one
file): then the document is cut where the share says, moved back to the start of a UTF-8 character. With `exact` every cut
is at the very byte, as the 90, 5 and 5 million bytes of enwik8 are. Each piece is from then on a document of its own; in
a text with end tokens it has one too, and a newline, so a cut inside a document adds one byte to the raw text.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Literal

from assay.core.config import setting
from assay.data.split import PARTS, Placed, SplitConfig

NEAR = 0.01  # of the whole text: how far a cut moves to fall between documents


class ContiguousConfig(SplitConfig):
    """The text in its order, shares by bytes."""

    kind: Literal["contiguous"] = "contiguous"
    exact: bool = setting(False, "cut at the very byte instead of between documents", other=True, bites="data")

    def place(self, documents: Sequence[bytes], separator: bytes) -> Iterator[Placed]:
        """The pieces between the cuts; a document without a cut in it is one piece."""
        starts = list(accumulate((len(document) + len(separator) for document in documents), initial=0))
        places = [round(share * starts[-1]) for share in (1 - self.validation - self.test, 1 - self.test)]
        cuts = [0, *(place if self.exact else cut_near(place, documents, starts) for place in places), starts[-1]]
        for index, document in enumerate(documents):
            start = starts[index]
            for part, (first, last) in zip(PARTS, pairwise(cuts), strict=True):
                piece = document[max(first - start, 0) : max(last - start, 0)]
                if piece:
                    yield Placed(part, index, piece)


def cut_near(place: int, documents: Sequence[bytes], starts: Sequence[int]) -> int:
    """The byte of the raw text at which to cut: a document's start, or the start of a character inside a document."""
    after = bisect_left(starts, place)
    nearest = min(starts[max(after - 1, 0) : after + 1], key=lambda start: abs(start - place))
    if abs(nearest - place) <= NEAR * starts[-1]:
        return nearest
    document, offset = documents[after - 1], place - starts[after - 1]
    if offset >= len(document):
        return starts[after]
    return starts[after - 1] + character_start(document, offset)


def character_start(document: bytes, offset: int) -> int:
    """`offset`, moved back to the first byte of its UTF-8 character; unmoved where there is none."""
    for place in range(offset, max(offset - 4, -1), -1):
        if document[place] & 0xC0 != 0x80:
            return place
    return offset
