"""Decode, check and cut UTF-8 text in which some bytes may not be UTF-8.

Such a byte, 128 to 255, is decoded as the lone surrogate U+DC80 to U+DCFF (`surrogateescape`), so that it comes back when the text is
encoded again.
"""

import codecs
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

BYTE_ORDER_MARK = codecs.BOM_UTF8
PIECE = 2**20  # bytes that are decoded at once, so that a long document is not in memory twice
NOT_UTF8 = re.compile("([\udc80-\udcff]+)")


def decode_text(data: bytes) -> str:
    """Decode bytes as characters; a byte that is not UTF-8 becomes a lone surrogate."""
    return data.decode("utf-8", "surrogateescape")


def encode_text(text: str) -> bytes:
    """Encode what `decode_text` gave: the same bytes, also those that were not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """Compute [N] the number of each character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def split_invalid_utf8(data: bytes) -> list[str]:
    """Split bytes into text that is UTF-8 and bytes that are not, in turn, text first; the bytes are lone surrogates."""
    return NOT_UTF8.split(decode_text(data))


def is_utf8(data: bytes, *, whole: bool = True) -> bool:
    """Whether bytes are UTF-8; unless they are the `whole`, the last character may be cut."""
    if data.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), PIECE):
            decoder.decode(data[start : start + PIECE])
        decoder.decode(b"", final=whole)
    except UnicodeDecodeError:
        return False
    return True


def character_start(data: bytes, offset: int) -> int:
    """Move an offset back to the first byte of its UTF-8 character; unmoved where there is no character."""
    for place in range(offset, max(offset - 4, -1), -1):
        if data[place] & 0xC0 != 0x80:
            return place
    return offset


def unfinished_character(data: bytes) -> bytes:
    """Return the bytes at the end that begin a character and do not finish it."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    decoder.decode(data[-3:])
    return decoder.getstate()[0]


def list_characters(beginning: bytes) -> Iterator[str]:
    """List the characters whose UTF-8 begins with these bytes, an unfinished character, by code point."""
    length = 2 if beginning[0] < 0xE0 else 3 if beginning[0] < 0xF0 else 4
    code = beginning[0] & (0x7F >> length)
    for byte in beginning[1:]:
        code = code << 6 | byte & 0x3F
    missing = 6 * (length - len(beginning))
    first, stop = max(code << missing, (0x80, 0x800, 0x10000)[length - 2]), min(code + 1 << missing, 0x110000)
    return (chr(point) for point in range(first, stop) if not 0xD800 <= point < 0xE000)
