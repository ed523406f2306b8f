"""Records give the text of a field byte for byte, or are refused with their line."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import DataError
from assay.text.decompression import FileContent
from assay.text.records import READERS


def read(data: bytes, field: str = "text", ending: str = ".jsonl") -> list[bytes | None]:
    return list(READERS[ending](FileContent(f"here/mine{ending}", f"mine{ending}", data), field))


@given(texts=st.lists(st.text(max_size=20) | st.none(), max_size=5), ascii_only=st.booleans())
def test_each_line_is_a_record(texts: list[str | None], ascii_only: bool) -> None:
    lines = [json.dumps({"text": text, "id": 7}, ensure_ascii=ascii_only) for text in texts]
    assert read("\n".join(lines).encode()) == [None if text is None else text.encode() for text in texts]


def test_blank_lines_carriage_returns_and_a_byte_order_mark_are_no_records() -> None:
    assert read(b'\xef\xbb\xbf{"text": "a"}\r\n\r\n  \n{"text": "b\\r\\nc\\u0000"}') == [b"a", b"b\r\nc\0"]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b"no json", "is not JSON"),
        (b'{"text": "a"', "is not JSON"),
        (b'{"text": "\xff"}', "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b"9" * 5000, "is not JSON"),
        (b'["a"]', "is not an object"),
        (b'"a"', "is not an object"),
        (b'{"title": "a"}', r"has no field 'text' \(its fields: title\).*corpus\.field"),
        (b'{"a\\nb": "c"}', r"\(its fields: a b\)"),
        (b"{}", r"has no field 'text' \(its fields: none\)"),
        (b'{"text": 3}', "a JSON int"),
        (b'{"text": ["a"]}', "a JSON list"),
        (b'{"text": "\\ud800"}', "half of a surrogate pair"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(line: bytes, cause: str) -> None:
    with pytest.raises(DataError, match=rf"^corpus\.path: line 1,001 of here/mine\.jsonl .*{cause}"):
        read(b'{"text": "a"}\n' * 1000 + line)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert read(b'{"text": "\\ud83d\\ude00"}') == ["\U0001f600".encode()]


def parquet(**columns: Any) -> bytes:
    pyarrow = pytest.importorskip("pyarrow", reason="parquet files need the extra hub")
    from pyarrow import parquet as files  # noqa: PLC0415  only where it is installed

    buffer = io.BytesIO()
    files.write_table(pyarrow.table(columns), buffer, row_group_size=2)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["string", "large_string", "binary", "large_binary"])
def test_each_row_of_a_column_is_a_record(kind: str) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="parquet files need the extra hub")
    texts = ["a", "b\n", None, "", "é"]
    data = parquet(title=pyarrow.array(texts, getattr(pyarrow, kind)()), other=range(5))
    assert read(data, "title", ".parquet") == [None if text is None else text.encode() for text in texts]


def test_a_column_of_few_texts_and_one_that_is_not_utf8() -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="parquet files need the extra hub")
    assert read(parquet(text=pyarrow.array(["a", "b", "a"]).dictionary_encode()), ending=".parquet") == [b"a", b"b", b"a"]
    broken = pyarrow.array([b"\xff\0"], pyarrow.binary()).view(pyarrow.string())
    assert read(parquet(text=broken), ending=".parquet") == [b"\xff\0"]


def test_a_bad_parquet_file_is_refused() -> None:
    good = parquet(text=["a" * 100], number=[1])
    with pytest.raises(DataError, match=r"^corpus\.field: here/mine\.parquet has no column 'title' \(its columns: text, number\)"):
        read(good, "title", ".parquet")
    with pytest.raises(DataError, match=r"^corpus\.field: column 'number' of here/mine\.parquet holds int64, no text"):
        read(good, "number", ".parquet")
    for damaged in (b"", b"no parquet", good[:-5], good[: len(good) // 2], b"PAR1" + b"\xff" * 60 + good[-40:]):
        with pytest.raises(DataError, match=r"^corpus\.path: here/mine\.parquet cannot be read as parquet"):
            read(damaged, ending=".parquet")


@pytest.mark.parametrize(
    ("data", "ending", "texts"),
    [
        (b'id,text\n1,"a ""b"", c\nd"\n\n2,\n', ".csv", [b'a "b", c\nd', b""]),
        (b"id;text\r\n1;a, b\r\n", ".csv", [b"a, b"]),
        (b"\xef\xbb\xbftext,id\n\xff\xfe,1", ".csv", [b"\xff\xfe"]),
        (b'text\tid\n"a" b\t1\n"c\t2', ".tsv", [b'"a" b', b'"c']),
        (b"text\n" + b"x" * 200_000, ".csv", [b"x" * 200_000]),
    ],
)
def test_each_row_of_a_table_is_a_record(data: bytes, ending: str, texts: list[bytes]) -> None:
    assert read(data, ending=ending) == texts


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"id,name\n1,a", r"does not name one column 'text' \(it reads: id,name\)"),
        (b"text,text\na,b", "does not name one column"),
        (b"", "does not name one column"),
        (b"id,text\n1,a\n2,b,c\n", r"line 3 of here/mine\.csv ends a row of 3 fields, not 2"),
        (b'id,text\n1,"a\n2,b\n', r"line 3 of here/mine\.csv cannot be read as a table"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(data: bytes, cause: str) -> None:
    with pytest.raises(DataError, match=rf"{cause}.*corpus\.format=text"):
        read(data, ending=".csv")
