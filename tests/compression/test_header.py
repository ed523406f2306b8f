"""The header: whatever is not exactly what was written is refused, with the reason."""

import struct

import pytest

from assay.compression.header import FORMAT, HEADER_BYTES, MAGIC, Header
from assay.compression.streams import StreamLayout
from assay.errors import DataError
from compression.codecs import IDENTITY

HEADER = Header(IDENTITY, 5, 12, StreamLayout(7, 4, 9, 3, True), b"s" * 32)
PAYLOAD = b"twelve bytes"
PACKED = HEADER.pack(PAYLOAD)


def test_it_comes_back() -> None:
    assert Header.unpack(PACKED) == (HEADER, PAYLOAD)
    assert len(PACKED) == HEADER_BYTES + len(PAYLOAD)


def test_any_flipped_bit_is_found() -> None:
    for place in range(len(PACKED)):
        for bit in range(8):
            with pytest.raises(DataError):
                Header.unpack(PACKED[:place] + bytes([PACKED[place] ^ 1 << bit]) + PACKED[place + 1 :])


def test_any_cut_is_found() -> None:
    for size in range(len(PACKED)):
        with pytest.raises(DataError, match=r"cut off after|not a file that"):
            Header.unpack(PACKED[:size])


def test_anything_added_is_found() -> None:
    with pytest.raises(DataError, match="damaged"):
        Header.unpack(PACKED + b"\0")


def test_another_format_is_named() -> None:
    other = MAGIC + struct.pack("<H", FORMAT + 1) + PACKED[8:]
    with pytest.raises(
        DataError, match=f"has the format {FORMAT + 1} and this version of Assay knows the format {FORMAT}; use the version"
    ):
        Header.unpack(other)


def test_a_file_of_another_program_is_named() -> None:
    with pytest.raises(DataError, match="not a file that `assay compress` wrote"):
        Header.unpack(b"\xfd7zXZ\0" + b"0" * 300)
