"""Text that is not all UTF-8 is recognised, comes back as it was, and is never cut inside a character."""

from hypothesis import given
from hypothesis import strategies as st

from assay.text.utf8 import PIECE, character_start, code_points, decode_text, encode_text, is_utf8, split_invalid_utf8


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


def test_bytes_that_are_no_characters_do_not_move_a_cut() -> None:
    assert character_start(b"\x80" * 10, 7) == 7
    assert character_start("a熊".encode(), 3) == 1


@given(data=st.binary(max_size=20))
def test_bytes_come_back_whether_or_not_they_are_utf8(data: bytes) -> None:
    assert encode_text(decode_text(data)) == data
    assert b"".join(encode_text(part) for part in split_invalid_utf8(data)) == data
    assert len(code_points(decode_text(data))) == len(decode_text(data))


def test_text_and_bytes_that_are_not_utf8_come_in_turn() -> None:
    assert [encode_text(part) for part in split_invalid_utf8(b"a\xff\xfeb")] == [b"a", b"\xff\xfe", b"b"]
    assert split_invalid_utf8(b"\xff")[0] == ""
