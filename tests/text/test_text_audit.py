"""What is unusual in a text is counted, and said in words."""

import pytest

from assay.text.text_audit import TextAudit


def test_an_ordinary_text_has_no_audit() -> None:
    audit = TextAudit()
    audit.add_file("a.txt", "é\n".encode())
    audit.add_plain_text("é\n".encode())
    audit.add_documents(["é".encode()])
    assert audit.notes() == ()


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"\xef\xbb\xbfa\n", "a byte order mark begins the file and is kept"),
        (b"a\r\nb\nc\r\n", "2 of 3 lines end in CR LF, and the carriage returns are kept"),
        (b"a\rb", "there are carriage returns but no newlines, so nothing ends a line"),
    ],
)
def test_plain_text_is_remarked_on(data: bytes, note: str) -> None:
    audit = TextAudit()
    audit.add_file("a.txt", data)
    audit.add_plain_text(data)
    assert audit.notes() == (note,)


def test_documents_are_remarked_on() -> None:
    audit = TextAudit()
    audit.add_documents([b"a", b"\0\0"])
    audit.add_documents([b"\xff", b"\xfe"])
    assert audit.notes() == ("2 NUL bytes kept", "2 of 4 documents are not UTF-8 and are kept byte for byte; the first is number 3")


def test_files_of_one_content_are_named() -> None:
    audit = TextAudit()
    for place, data in (("a", b"x"), ("b", b"y"), ("c", b"x"), ("d", b""), ("e", b"")):
        audit.add_file(place, data)
    assert audit.notes() == ("2 empty files left out", "1 file with the content of another, all kept: c repeats a")
