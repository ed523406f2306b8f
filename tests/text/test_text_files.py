"""Text files are found, unpacked, checked and cut without changing a byte."""

import gzip
import hashlib
import lzma
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ConfigError, DataError
from assay.text.text_files import TextConfig, cut

DATA = b"first\r\n\n\xff\x00 second\n\xef\xbb\xbfthird"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "data" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_lines_are_documents_byte_for_byte_without_the_empty_ones() -> None:
    assert cut(DATA, "line") == [b"first\r", b"\xff\x00 second", b"\xef\xbb\xbfthird"]


@given(data=st.binary(max_size=60).map(lambda data: data.replace(b"\x01", b"\n")))
def test_lines_hold_no_newline_and_lose_nothing_else(data: bytes) -> None:
    assert b"".join(cut(data, "line")) == data.replace(b"\n", b"")


@pytest.mark.parametrize(
    ("data", "documents"),
    [
        (b"a\nb\n\nc", [b"a\nb", b"c"]),
        (b"\n\na\n\n\n\nb\n", [b"a", b"b"]),
        (b"\na\n\n", [b"a"]),
        (b"a\r\nb\r\n\r\nc\r\n", [b"a\r\nb\r", b"c\r"]),
        (b"\n\n", []),
        (b"", []),
    ],
)
def test_paragraphs_are_separated_by_blank_lines(data: bytes, documents: list[bytes]) -> None:
    assert cut(data, "paragraph") == documents


@pytest.mark.parametrize(("data", "document"), [(b"a\n\nb\n", b"a\n\nb"), (b"a\n\n", b"a\n"), (b"a", b"a")])
def test_a_whole_file_loses_only_the_newline_that_its_end_token_stands_for(data: bytes, document: bytes) -> None:
    assert cut(data, "file") == [document]


def test_the_raw_text_of_a_file_that_ends_with_a_newline_is_the_file(folder: Path) -> None:
    Path("mine.txt").write_bytes(b"one\n\ntwo\n")
    corpus = TextConfig(path="mine.txt", document="file").load(None)
    assert corpus.byte_count == 9
    assert corpus.sha256 == hashlib.sha256(b"one\n\ntwo\n").hexdigest()


@pytest.mark.parametrize("path", ["mine.txt", "ABSOLUTE/mine.txt"])
def test_a_file_is_found_as_given(folder: Path, path: str) -> None:
    Path("mine.txt").write_bytes(DATA)
    (folder / "data" / "mine.txt").write_bytes(b"not this one")
    given_path = path.replace("ABSOLUTE", str(folder / "here"))
    assert len(TextConfig(path=given_path).load(folder / "data").documents) == 3


@pytest.mark.parametrize("path", ["mine.txt", "inner/mine.txt", "elsewhere/mine.txt"])
def test_a_file_is_found_in_the_data_folder(folder: Path, path: str) -> None:
    (folder / "data" / "inner" / "mine.txt").write_bytes(DATA)
    corpus = TextConfig(path=path).load(folder / "data")
    assert (corpus.name, corpus.source) == ("mine.txt", path)


@pytest.mark.parametrize(("ending", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress)])
@pytest.mark.parametrize("place", ["here", "data", "data/inner"])
def test_packed_files_are_found_and_unpacked(folder: Path, ending: str, pack: object, place: str) -> None:
    assert callable(pack)
    (folder / place / f"mine.txt{ending}").write_bytes(pack(DATA))
    corpus = TextConfig(path="mine.txt", sha256=hashlib.sha256(DATA).hexdigest()).load(folder / "data")
    assert corpus.documents == cut(DATA, "line")


def test_a_missing_file_is_named_with_where_it_was_looked_for_and_what_to_do(folder: Path) -> None:
    with pytest.raises(DataError) as refused:
        TextConfig(path="nowhere.txt").load(folder / "data")
    message = str(refused.value)
    for needed in (
        "corpus.path",
        "nowhere.txt",
        str(folder / "here"),
        str(folder / "data"),
        "--data-dir",
        "corpus.path=FILE",
    ):
        assert needed in message


def test_two_files_of_one_name_are_refused_rather_than_guessed(folder: Path) -> None:
    (folder / "data" / "other").mkdir()
    for inner in ("inner", "other"):
        (folder / "data" / inner / "mine.txt").write_bytes(DATA)
    with pytest.raises(DataError, match="several files"):
        TextConfig(path="mine.txt").load(folder / "data")


@pytest.mark.parametrize("document", ["line", "paragraph", "file"])
def test_an_empty_file_is_refused_with_its_place(folder: Path, document: Literal["line", "paragraph", "file"]) -> None:
    Path("empty.txt").write_bytes(b"\n")
    with pytest.raises(DataError, match=r"empty\.txt has no text"):
        TextConfig(path="empty.txt", document=document).load(None)


def test_another_file_than_the_named_hash_is_refused(folder: Path) -> None:
    Path("mine.txt").write_bytes(DATA)
    with pytest.raises(DataError, match=r"corpus\.sha256: mine\.txt is [0-9a-f]{64}, not 00"):
        TextConfig(path="mine.txt", sha256="0" * 64).load(None)


@pytest.mark.parametrize("ending", [".xz", ".gz"])
def test_a_damaged_packed_file_is_refused(folder: Path, ending: str) -> None:
    Path(f"mine.txt{ending}").write_bytes(b"not packed at all")
    with pytest.raises(DataError, match="cannot be unpacked"):
        TextConfig(path="mine.txt").load(None)


def test_the_version_follows_the_content_of_the_file(folder: Path) -> None:
    Path("mine.txt").write_bytes(DATA)
    before = TextConfig(path="mine.txt").version(None)
    Path("mine.txt").write_bytes(DATA + b"!")
    assert TextConfig(path="mine.txt").version(None) != before


def test_a_path_must_be_given() -> None:
    with pytest.raises(ConfigError, match="path"):
        TextConfig.make({})
