"""Packed files are unpacked whole or refused; what is no text is refused with what it is."""

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import DataError
from assay.text.decompression import FileContent, read_file, refuse_binary, strip_compression

DATA = b"first\r\n\n\xff\x00 second\n\xef\xbb\xbfthird"


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def zip_one(data: bytes) -> bytes:
    return zipped(("mine.txt", data))


PACK: dict[str, Callable[[bytes], bytes]] = {
    ".xz": lzma.compress,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
    ".zip": zip_one,
}
STREAMS = (".xz", ".gz", ".zst")


@pytest.fixture(params=PACK)
def packing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def write(folder: Path, name: str, data: bytes) -> Path:
    file = folder / name
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("data", [DATA, b"", b"x", b"\n", b"a" * 10**7], ids=["nasty", "empty", "one byte", "newline", "one long line"])
def test_what_was_packed_comes_back(packing: str, data: bytes, tmp_path: Path) -> None:
    unpacked = read_file(write(tmp_path, f"mine.txt{packing}", PACK[packing](data)))
    assert (unpacked.data, unpacked.name, unpacked.extension) == (data, "mine.txt", ".txt")


def test_an_ending_in_capitals_is_the_same_ending(packing: str, tmp_path: Path) -> None:
    unpacked = read_file(write(tmp_path, f"MINE.TXT{packing.upper()}", PACK[packing](DATA)))
    assert (unpacked.data, unpacked.extension) == (DATA, ".txt")


@pytest.mark.parametrize("packing", STREAMS)
@given(parts=st.lists(st.binary(max_size=20), min_size=1, max_size=3), padding=st.integers(0, 3))
def test_streams_one_after_another_are_all_unpacked(
    packing: str, parts: list[bytes], padding: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    packed = (b"\0" * 4 * padding).join(map(PACK[packing], parts))
    assert read_file(write(tmp_path_factory.mktemp("streams"), f"mine{packing}", packed)).data == b"".join(parts)


def test_nothing_that_is_damaged_is_taken_for_a_text(packing: str, tmp_path: Path) -> None:
    packed = PACK[packing](DATA * 50)
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    damaged = {"cut": packed[:-3], "half": packed[: len(packed) // 2], "empty": b"", "none": b"no packed file"}
    if packing != ".zst":  # whose frames are written without a checksum here
        damaged["flipped"] = bytes(flipped)
    if packing != ".zip":  # which is read from its end
        damaged["with garbage after it"] = packed + b"garbage"
        damaged["cut in its second stream"] = packed + packed[:-3]
    for what, data in damaged.items():
        file = write(tmp_path, f"mine.txt{packing}", data)
        with pytest.raises(DataError, match=r"^corpus\.path: .*mine\.txt.* cannot be unpacked \(.+\); get an undamaged copy$"):
            pytest.fail(f"{what}: {read_file(file).data[:20]!r}")


def test_an_archive_of_several_files_is_refused_and_folders_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"two\.zip holds 2 files; unpack it"):
        read_file(write(tmp_path, "two.zip", zipped(("a.txt", b"a"), ("b.txt", b"b"))))
    with pytest.raises(DataError, match=r"none\.zip holds 0 files"):
        read_file(write(tmp_path, "none.zip", zipped()))
    one = read_file(write(tmp_path, "one.zip", zipped(("inner/", b""), ("inner/a.jsonl", b"{}"), ("__MACOSX/inner/._a.jsonl", b"\0"))))
    assert (one.data, one.extension) == (b"{}", ".jsonl"), "the file inside tells the format"


def test_an_archive_whose_file_has_no_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.zip"
    whole = zip_one(b"a")
    end = whole.index(b"PK\x01\x02")
    file.write_bytes(whole[:end] + whole[end : end + 28] + b"\0\0" + whole[end + 30 :])  # the length of the name
    with pytest.raises(DataError, match=r"mine\.zip cannot be unpacked"):
        read_file(file)


def test_an_archive_with_a_password_is_refused(tmp_path: Path) -> None:
    locked = bytearray(zip_one(b"secret"))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(header) + flags] |= 1
    with pytest.raises(DataError, match=r"password.*unpack it yourself"):
        read_file(write(tmp_path, "locked.zip", bytes(locked)))


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.txt cannot be read \(No such file"):
        read_file(tmp_path / "gone.txt")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory"):
        read_file(tmp_path)


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (zip_one(b"a"), r"zip archive.*\.zip"),
        (gzip.compress(b"a", mtime=0), r"gzip.*\.gz"),
        (lzma.compress(b"a"), r"xz.*\.xz"),
        (zstandard.compress(b"a"), r"zstd.*\.zst"),
        (b"PAR1\x15\x00PAR1", r"parquet file.*\.parquet"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "PNG image"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF"),
        (b"\x7fELF\x02\x01\x01\x00", "program"),
        ("text".encode("utf-16"), r"UTF-16.*iconv"),
        ("text".encode("utf-32"), r"UTF-32.*iconv"),
        (tarred(), "tar archive"),
    ],
)
def test_what_is_no_text_is_refused_by_its_first_bytes(data: bytes, what: str) -> None:
    with pytest.raises(DataError, match=rf"^corpus\.path: here/mine\.txt is .*{what}"):
        refuse_binary(FileContent("here/mine.txt", "mine.txt", data))


@pytest.mark.parametrize(
    "data", [b"PAR1S is a novel", b"BZh9", b"%PDF-1.7 begins a PDF file", b"GIF89a", DATA, b"", b"\0", "é".encode() * 999]
)
def test_text_that_begins_like_a_format_is_text(data: bytes) -> None:
    refuse_binary(FileContent("mine.txt", "mine.txt", data))


@pytest.mark.parametrize(
    ("name", "without"), [("a.txt.xz", "a.txt"), ("a.XZ", "a"), ("a.txt", "a.txt"), ("xz", "xz"), (".xz", ".xz"), ("a.", "a.")]
)
def test_a_name_without_the_ending_of_its_packing(name: str, without: str) -> None:
    assert strip_compression(name) == without
