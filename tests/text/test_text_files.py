"""Text files are found, unpacked, checked and cut without changing a byte."""

import gzip
import hashlib
import lzma
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from assay.core.install import write_assay_line
from assay.errors import ConfigError, DataError
from assay.text.text_files import TextConfig, split_documents

DATA = b"first\r\n\n\xff\x00 second\n\xef\xbb\xbfthird"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "data" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_lines_are_documents_byte_for_byte_without_the_empty_ones() -> None:
    assert split_documents(DATA, "line") == [b"first\r", b"\xff\x00 second", b"\xef\xbb\xbfthird"]


@given(data=st.binary(max_size=60).map(lambda data: data.replace(b"\x01", b"\n")))
def test_lines_hold_no_newline_and_lose_nothing_else(data: bytes) -> None:
    assert b"".join(split_documents(data, "line")) == data.replace(b"\n", b"")


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
    assert split_documents(data, "paragraph") == documents


@pytest.mark.parametrize(("data", "document"), [(b"a\n\nb\n", b"a\n\nb"), (b"a\n\n", b"a\n"), (b"a", b"a")])
def test_a_whole_file_loses_only_the_newline_that_its_end_token_stands_for(data: bytes, document: bytes) -> None:
    assert split_documents(data, "file") == [document]


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


@pytest.mark.parametrize(("ending", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress), (".zst", zstandard.compress)])
@pytest.mark.parametrize("place", ["here", "data", "data/inner"])
def test_packed_files_are_found_and_unpacked(folder: Path, ending: str, pack: Callable[[bytes], bytes], place: str) -> None:
    (folder / place / f"mine.txt{ending}").write_bytes(pack(DATA))
    corpus = TextConfig(path="mine.txt", sha256=hashlib.sha256(DATA).hexdigest()).load(folder / "data")
    assert (corpus.documents, corpus.name) == (split_documents(DATA, "line"), "mine.txt")


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


def test_what_is_unusual_is_kept_and_told(folder: Path) -> None:
    Path("mine.txt").write_bytes(DATA)
    corpus = TextConfig(path="mine.txt").load(None)
    assert corpus.notes == (
        "1 of 3 lines end in CR LF, and the carriage returns are kept",
        "1 NUL byte kept",
        "1 of 3 documents are not UTF-8 and are kept byte for byte; the first is number 2",
    )


def test_a_program_called_txt_is_refused(folder: Path) -> None:
    Path("mine.txt").write_bytes(b"\x7fELF\x02\x01\x01\x00")
    with pytest.raises(DataError, match=r"mine\.txt is a program, not text"):
        TextConfig(path="mine.txt").load(None)


def test_a_line_of_ten_megabytes_and_a_text_of_one_byte_are_documents(folder: Path) -> None:
    Path("long.txt").write_bytes(b"x" * 10**7)
    Path("short.txt").write_bytes(b"x")
    assert [len(TextConfig(path=path).load(None).documents[0]) for path in ("long.txt", "short.txt")] == [10**7, 1]


@pytest.fixture
def tree(folder: Path) -> Path:
    """A folder with texts of several formats, and what is none of them."""
    for name, data in {
        "b.txt": b"one\ntwo",
        "a/c.txt.gz": gzip.compress(b"three\n\nfour\n"),
        "a/d.jsonl": b'{"text": "five\\n5"}\n{"text": null}\n{"text": ""}',
        "e.md": b"",
        "f.png": b"\x89PNG",
        "g.txt": b"one\ntwo",
        ".hidden.txt": b"hidden",
    }.items():
        (folder / "data/tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data/tree" / name).write_bytes(data)
    return folder / "data/tree"


def test_a_folder_is_its_files_in_the_order_of_their_paths(tree: Path) -> None:
    corpus = TextConfig(path="tree").load(tree.parent)
    assert corpus.documents == [b"three", b"four", b"five\n5", b"one", b"two", b"one", b"two"]
    assert (corpus.name, corpus.source) == ("tree", "tree")
    assert corpus.notes == (
        "2 records without text left out",
        "1 empty file left out",
        f"1 file with the content of another, all kept: {tree}/g.txt repeats {tree}/b.txt",
        "1 other file of the folder left out: f.png",
    )


def test_endings_choose_the_files_of_a_folder(tree: Path) -> None:
    corpus = TextConfig(path=str(tree), document="file", endings=(".txt",)).load(None)
    assert corpus.documents == [b"three\n\nfour", b"one\ntwo", b"one\ntwo"]
    with pytest.raises(DataError, match=r"tree has no file that ends in \.py \(6 other files\).*corpus\.endings"):
        TextConfig(path=str(tree), endings=(".py",)).load(None)
    with pytest.raises(DataError, match=r"corpus\.endings: .*b\.txt is a file"):
        TextConfig(path=str(tree / "b.txt"), endings=(".py",)).load(None)


@pytest.mark.parametrize("ending", ["txt", "*.txt", ".TXT", ".", "", ".tar.gz", "./a"])
def test_an_ending_is_a_dot_and_small_letters(ending: str) -> None:
    with pytest.raises(ConfigError, match=r"endings.*such as \.txt"):
        TextConfig.make({"path": "tree", "endings": [ending]})


def test_the_hash_of_a_folder_is_that_of_its_files_one_after_another(tree: Path) -> None:
    chosen = {"path": str(tree), "endings": (".txt",)}
    known = hashlib.sha256(b"three\n\nfour\n" + b"one\ntwo" * 2).hexdigest()
    TextConfig.make({**chosen, "sha256": known}).load(None)
    with pytest.raises(DataError, match=rf"corpus\.sha256: .*tree is {known}"):
        TextConfig.make({**chosen, "sha256": "0" * 64}).load(None)


def test_the_version_of_a_folder_follows_contents_and_names_of_its_files(tree: Path) -> None:
    config = TextConfig(path=str(tree))
    versions = [config.version(None)]
    (tree / "f.png").write_bytes(b"left out all the same")
    assert config.version(None) == versions[0]
    (tree / "b.txt").write_bytes(b"another")
    versions.append(config.version(None))
    (tree / "b.txt").rename(tree / "h.txt")
    versions.append(config.version(None))
    assert len(set(versions)) == 3


def test_records_are_documents_and_another_cut_is_refused(folder: Path) -> None:
    Path("mine.jsonl").write_bytes(b'{"title": "a\\nb", "text": "c"}')
    assert TextConfig(path="mine.jsonl", field="title").load(None).documents == [b"a\nb"]
    with pytest.raises(DataError, match=r"corpus\.document: each record of mine\.jsonl is a document; set corpus\.document=line"):
        TextConfig(path="mine.jsonl", document="paragraph").load(None)
    Path("empty.jsonl").write_bytes(b"\n")
    with pytest.raises(DataError, match=r"empty\.jsonl has no text in it; name a file with at least one record"):
        TextConfig(path="empty.jsonl").load(None)


def test_a_field_that_nothing_has_is_refused(folder: Path) -> None:
    Path("mine.txt").write_bytes(b"a")
    with pytest.raises(DataError, match=r"corpus\.field: mine\.txt is plain text without fields"):
        TextConfig(path="mine.txt", field="title").load(None)


def test_parquet_is_read_like_any_text(folder: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="parquet files need the extra hub")
    from pyarrow import parquet  # noqa: PLC0415  only where it is installed

    parquet.write_table(pyarrow.table({"text": ["a", None, "b\n"]}), "mine.parquet")
    corpus = TextConfig(path="mine.parquet").load(None)
    assert (corpus.documents, corpus.notes) == ([b"a", b"b\n"], ("1 record without text left out",))


def test_parquet_without_pyarrow_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    Path("mine.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=rf"mine\.parquet needs pyarrow.*{re.escape(write_assay_line('hub'))}"):
        TextConfig(path="mine.parquet").load(None)


def test_the_version_follows_the_content_of_the_file(folder: Path) -> None:
    Path("mine.txt").write_bytes(DATA)
    before = TextConfig(path="mine.txt").version(None)
    Path("mine.txt").write_bytes(DATA + b"!")
    assert TextConfig(path="mine.txt").version(None) != before


def test_a_path_must_be_given() -> None:
    with pytest.raises(ConfigError, match="path"):
        TextConfig.make({})
