"""Read files, decompress xz, gzip, Zstandard and zip with one file inside, and refuse files that are no text."""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import zstandard

from assay.errors import DataError
from assay.text.utf8 import is_utf8

COMPRESSIONS = ("", ".xz", ".gz", ".zst", ".zip")
LARGEST_WINDOW = 2**31  # bytes: what `zstd --long=31` needs
FED = 2**12  # packed bytes that are unpacked at once: 4 bytes of Zstandard may stand for 2^17
# A text is packed to a fifth, a log to a fiftieth: what unpacks to more than 200 times its size, and is large, was made to fill a memory.
SUSPICIOUS, RATIO = 2**28, 200

HEAD = 1024  # bytes in which the format of a file is looked for
FORMATS: dict[tuple[bytes, ...], str] = {  # by their first bytes: what they are, and what to do with them
    (b"PK\x03\x04",): "a zip archive, not text; unpack it, or let its name end in .zip",
    (b"\x1f\x8b\x08",): "packed with gzip, not text; unpack it, or let its name end in .gz",
    (b"\xfd7zXZ\x00",): "packed with xz, not text; unpack it, or let its name end in .xz",
    (b"\x28\xb5\x2f\xfd",): "packed with zstd, not text; unpack it, or let its name end in .zst",
    (b"BZh",): "packed with bzip2, not text; unpack it, or name a text file",
    (b"7z\xbc\xaf\x27\x1c",): "a 7z archive, not text; unpack it, or name a text file",
    (b"Rar!\x1a\x07",): "a rar archive, not text; unpack it, or name a text file",
    (b"PAR1",): "a parquet file, not text; let its name end in .parquet",
    (b"ARROW1\x00\x00",): "an Arrow file, not text; save it as parquet",
    (b"SQLite format 3\x00",): "an SQLite database, not text; save its text as .jsonl",
    (b"%PDF-",): "a PDF file, not text; save its text as a text file",
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",): "an old Office document, not text; save its text as a text file",
    (b"\x89PNG\r\n\x1a\n",): "a PNG image, not text; name a text file",
    (b"\xff\xd8\xff",): "a JPEG image, not text; name a text file",
    (b"GIF87a", b"GIF89a"): "a GIF image, not text; name a text file",
    (b"RIFF", b"OggS", b"fLaC", b"ID3"): "sound or video, not text; name a text file",
    (b"\x93NUMPY",): "an array of numpy, not text; save its text as a text file",
    tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6)): "a pickle of Python, not text; save its text as a text file",
    (b"\x89HDF\r\n\x1a\n",): "an HDF5 file, not text; save its text as a text file",
    (b"GGUF",): "the weights of a model, not text; name a text file",
    (b"\x7fELF",): "a program, not text; name a text file",
    (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"): "in UTF-32, which cannot be cut byte by byte; convert it: iconv -f UTF-32 -t UTF-8",
    (b"\xff\xfe", b"\xfe\xff"): "in UTF-16, which cannot be cut byte by byte; convert it: iconv -f UTF-16 -t UTF-8",
}
TAR = slice(257, 262)  # where a tar archive says `ustar`


class FileContent(NamedTuple):
    """The bytes of a file, and the name, without the ending of its compression, that says their format."""

    path: str  # the file on disk, for messages
    name: str
    data: bytes

    @property
    def extension(self) -> str:
        """The last ending of the name in small letters, with its dot; empty where there is none."""
        return Path(self.name).suffix.lower()


class Decompressor(Protocol):
    """An object that decompresses one stream, as those of `lzma`, `zlib` and `zstandard` do."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def strip_compression(name: str) -> str:
    """Drop the ending of the compression from a file's name."""
    return name[: -len(packing)] if (packing := Path(name).suffix.lower()) in COMPRESSIONS and packing else name


def read_file(file: Path) -> FileContent:
    """Read a file, unpacked as its ending says. Raises DataError when it is unreadable, damaged or holds more than its text."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise unreadable_error(file, error) from None
    packing = file.suffix.lower()
    if packing == ".zip":
        return _read_zip(file, data)
    streams: dict[str, Callable[[], Decompressor]] = {
        ".xz": lzma.LZMADecompressor,
        ".gz": lambda: zlib.decompressobj(wbits=31),
        ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj(),
    }
    if packing not in streams:
        return FileContent(str(file), file.name, data)
    try:
        return FileContent(str(file), strip_compression(file.name), decompress(data, streams[packing]))
    except (lzma.LZMAError, zlib.error, zstandard.ZstdError, EOFError) as error:
        raise _damaged(file, str(error)) from None
    except OverflowError:
        raise _suspicious(file) from None


def decompress(compressed: bytes, make_stream: Callable[[], Decompressor]) -> bytes:
    """Decompress streams one after another, zero bytes between them allowed.

    Raises EOFError when the last one ends too early, OverflowError when they give far more bytes than a text does, and the library's error
    for other bytes. The libraries' own one-call functions ignore what follows the first stream, or that the last one is cut off.
    """
    pieces: list[bytes] = []
    place, size = 0, 0
    while place < len(compressed) or not pieces:
        stream = make_stream()
        while not stream.eof:
            fed = compressed[place : place + FED]
            if not fed:
                raise EOFError("it ends too early")
            pieces.append(stream.decompress(fed))
            place, size = place + len(fed), size + len(pieces[-1])
            if _is_suspicious(size, len(compressed)):
                raise OverflowError
        place -= len(stream.unused_data)
        while compressed[place : place + 1] == b"\0":
            place += 1
    return b"".join(pieces)


def refuse_binary(file: FileContent) -> None:
    """Raise DataError for a file of a known binary format; one that continues as text is none: `PAR1S` may begin a novel."""
    head = file.data[:HEAD]
    if b"\0" not in head and is_utf8(head, whole=len(file.data) <= HEAD):
        return
    for beginnings, explanation in FORMATS.items():
        if file.data.startswith(beginnings):
            raise DataError(f"corpus.path: {file.path} is {explanation}")
    if file.data[TAR] == b"ustar":
        raise DataError(f"corpus.path: {file.path} is a tar archive, not text; unpack it and name the folder")


def unreadable_error(place: Path | str, error: OSError) -> DataError:
    """Make the error for a file or folder that the operating system does not let read."""
    return DataError(f"corpus.path: {place} cannot be read ({error.strerror or error}); check the path and its permissions")


def _read_zip(file: Path, data: bytes) -> FileContent:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir() and not member.filename.startswith("__MACOSX/")]
            if len(members) != 1:
                raise DataError(f"corpus.path: {file} holds {len(members)} files; unpack it and name the folder or one file")
            if _is_suspicious(members[0].file_size, len(data)):
                raise _suspicious(file)
            return FileContent(str(file), Path(members[0].filename).name, archive.read(members[0]))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError, IndexError) as error:
        raise _damaged(file, str(error)) from None
    except (RuntimeError, NotImplementedError) as error:  # a password, or a method that Python does not know
        raise DataError(f"corpus.path: {file} cannot be unpacked ({error}); unpack it yourself and name the text file") from None


def _damaged(file: Path, cause: str) -> DataError:
    return DataError(f"corpus.path: {file} cannot be unpacked ({cause or 'it is damaged'}); get an undamaged copy")


def _is_suspicious(unpacked: int, packed: int) -> bool:
    return unpacked > max(SUSPICIOUS, RATIO * packed)


def _suspicious(file: Path) -> DataError:
    return DataError(f"corpus.path: {file} unpacks to more than {RATIO} times its size; if it is a text all the same, unpack it yourself")
