"""What is unusual in a text is counted, and said in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.text.remarks import PIECE, Remarks, is_utf8, listed, many


@given(data=st.binary(max_size=8) | st.text(max_size=8).map(str.encode))
def test_utf8_is_what_python_decodes(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not is_utf8(data)
    else:
        assert is_utf8(data)


def test_characters_may_lie_across_the_pieces_that_are_looked_at() -> None:
    assert is_utf8(b"x" * (PIECE - 1) + "é".encode() * PIECE)
    assert not is_utf8(b"x" * (PIECE - 1) + "é".encode()[:1])
    assert is_utf8(b"x" + "é".encode()[:1], whole=False)
    assert not is_utf8(b"\x80", whole=False)


def test_an_ordinary_text_has_no_remarks() -> None:
    remarks = Remarks()
    remarks.file("a.txt", "é\n".encode())
    remarks.plain("é\n".encode())
    remarks.documents(["é".encode()])
    assert remarks.notes() == ()


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"\xef\xbb\xbfa\n", "a byte order mark begins the file and is kept"),
        (b"a\r\nb\nc\r\n", "2 of 3 lines end in CR LF, and the carriage returns are kept"),
        (b"a\rb", "there are carriage returns but no newlines, so nothing ends a line"),
    ],
)
def test_plain_text_is_remarked_on(data: bytes, note: str) -> None:
    remarks = Remarks()
    remarks.file("a.txt", data)
    remarks.plain(data)
    assert remarks.notes() == (note,)


def test_documents_are_remarked_on() -> None:
    remarks = Remarks()
    remarks.documents([b"a", b"\0\0"])
    remarks.documents([b"\xff", b"\xfe"])
    assert remarks.notes() == ("2 NUL bytes kept", "2 of 4 documents are not UTF-8 and are kept byte for byte; the first is number 3")


def test_files_of_one_content_are_named() -> None:
    remarks = Remarks()
    for place, data in (("a", b"x"), ("b", b"y"), ("c", b"x"), ("d", b""), ("e", b"")):
        remarks.file(place, data)
    assert remarks.notes() == ("2 empty files left out", "1 file with the content of another, all kept: c repeats a")


def test_words_for_numbers_and_names() -> None:
    assert (many(1, "line"), many(0, "line"), many(1234, "line")) == ("1 line", "0 lines", "1,234 lines")
    assert listed("abc") == "a, b, c"
    assert listed("abcde") == "a, b, c and 2 more"
