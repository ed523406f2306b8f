"""Files unpacked in memory, and the refusal of what is no text: xz, gzip, Zstandard, and zip with one file inside."""

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import zstandard

from assay.errors import DataError
from assay.text.remarks import is_utf8

PACKINGS = ("", ".xz", ".gz", ".zst", ".zip")
LARGEST_WINDOW = 2**31  # bytes: what `zstd --long=31` needs

HEAD = 1024  # bytes that are looked at
# Formats by their first bytes, what they are and what to do with them.
UNPACK = "unpack it, or name a text file"
MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive, not text", "unpack it, or let its name end in .zip"),
    (b"\x1f\x8b\x08", "packed with gzip, not text", "unpack it, or let its name end in .gz"),
    (b"\xfd7zXZ\x00", "packed with xz, not text", "unpack it, or let its name end in .xz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd, not text", "unpack it, or let its name end in .zst"),
    (b"PAR1", "a parquet file, not text", "let its name end in .parquet"),
    (b"BZh", "packed with bzip2, not text", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, not text", UNPACK),
    (b"Rar!\x1a\x07", "a rar archive, not text", UNPACK),
    (b"\x89PNG\r\n\x1a\n", "a PNG image, not text", "name a text file"),
    (b"\xff\xd8\xff", "a JPEG image, not text", "name a text file"),
    (b"GIF87a", "a GIF image, not text", "name a text file"),
    (b"GIF89a", "a GIF image, not text", "name a text file"),
    (b"%PDF-", "a PDF file, not text", "save its text as a text file"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document, not text", "save its text as a text file"),
    (b"SQLite format 3\x00", "an SQLite database, not text", "save its text as .jsonl"),
    (b"ARROW1\x00\x00", "an Arrow file, not text", "save it as parquet"),
    (b"\x7fELF", "a program, not text", "name a text file"),
    (b"\xff\xfe\x00\x00", "in UTF-32, which cannot be cut byte by byte", "convert it: iconv -f UTF-32 -t UTF-8"),
    (b"\x00\x00\xfe\xff", "in UTF-32, which cannot be cut byte by byte", "convert it: iconv -f UTF-32 -t UTF-8"),
    (b"\xff\xfe", "in UTF-16, which cannot be cut byte by byte", "convert it: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "in UTF-16, which cannot be cut byte by byte", "convert it: iconv -f UTF-16 -t UTF-8"),
)
TAR = slice(257, 262)  # where a tar archive says `ustar`


class Unpacked(NamedTuple):
    """A file's bytes, and the name, without the ending of its packing, that tells their format."""

    place: str  # the file as a person would find it, for messages
    name: str
    data: bytes

    @property
    def ending(self) -> str:
        """The last ending of the name in small letters, with its dot; empty where there is none."""
        return Path(self.name).suffix.lower()


class _Stream(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def bare(name: str) -> str:
    """A file's name without the ending of its packing."""
    return name[: -len(packing)] if (packing := Path(name).suffix.lower()) in PACKINGS and packing else name


def read(file: Path) -> Unpacked:
    """A file, unpacked as its ending says. Raises DataError when it is unreadable, damaged or holds more than its text."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise unreadable(file, error) from None
    packing = file.suffix.lower()
    if packing == ".zip":
        return _read_zip(file, data)
    streams: dict[str, Callable[[], _Stream]] = {
        ".xz": lzma.LZMADecompressor,
        ".gz": lambda: zlib.decompressobj(wbits=31),
        ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj(),
    }
    if packing not in streams:
        return Unpacked(str(file), file.name, data)
    try:
        return Unpacked(str(file), bare(file.name), unpack(data, streams[packing]))
    except (lzma.LZMAError, zlib.error, zstandard.ZstdError, EOFError) as error:
        raise _damaged(file, str(error)) from None


def unpack(packed: bytes, begin: Callable[[], _Stream]) -> bytes:
    """Packed streams one after another, zero bytes between them allowed.

    Raises EOFError when the last one ends too early, and what its library raises for what is no such stream: unlike those
    libraries' own one-call functions, of which some drop what follows the first stream and some what is cut off.
    """
    pieces: list[bytes] = []
    while packed or not pieces:
        stream = begin()
        pieces.append(stream.decompress(packed))
        if not stream.eof:
            raise EOFError("it ends too early")
        packed = stream.unused_data.lstrip(b"\0")
    return b"".join(pieces)


def refuse_binary(file: Unpacked) -> None:
    """Raises DataError for what begins as a known format does, unless it goes on as text: `PAR1S` may begin a novel."""
    head = file.data[:HEAD]
    if b"\0" not in head and is_utf8(head, whole=len(file.data) <= HEAD):
        return
    for magic, what, remedy in MAGIC:
        if file.data.startswith(magic):
            raise DataError(f"corpus.path: {file.place} is {what}; {remedy}")
    if file.data[TAR] == b"ustar":
        raise DataError(f"corpus.path: {file.place} is a tar archive, not text; unpack it and name the folder")


def unreadable(place: Path | str, error: OSError) -> DataError:
    """What to say of a file or folder that the operating system does not let be read."""
    return DataError(f"corpus.path: {place} cannot be read ({error.strerror or error}); check the path and its permissions")


def _read_zip(file: Path, data: bytes) -> Unpacked:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir() and not member.filename.startswith("__MACOSX/")]
            if len(members) != 1:
                raise DataError(f"corpus.path: {file} holds {len(members)} files; unpack it and name the folder or one file")
            return Unpacked(str(file), Path(members[0].filename).name, archive.read(members[0]))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise _damaged(file, str(error)) from None
    except (RuntimeError, NotImplementedError) as error:  # a password, or a method that Python does not know
        raise DataError(f"corpus.path: {file} cannot be unpacked ({error}); unpack it yourself and name the text file") from None


def _damaged(file: Path, cause: str) -> DataError:
    return DataError(f"corpus.path: {file} cannot be unpacked ({cause or 'it is damaged'}); get an undamaged copy")
