"""A text file of one's own, plain or compressed with xz or gzip, kept byte for byte."""

import gzip
import hashlib
import lzma
import os
import re
from pathlib import Path
from typing import Literal

from assay.core.config import setting
from assay.errors import DataError
from assay.text.corpus import Corpus, CorpusConfig

COMPRESSIONS = ("", ".xz", ".gz")


class TextConfig(CorpusConfig):
    """One file, cut into documents.

    `line`: one document a line, split at the newline byte; empty lines are no documents and are left out.
    `paragraph`: documents are separated by one or more blank lines, a lone carriage return counting as blank.
    `file`: the whole file is one document.
    A newline at the end of the file belongs to the last document's end. Every other byte is kept as it is: carriage
    returns, NUL, byte order marks and what is not UTF-8.
    """

    kind: Literal["text"] = "text"
    path: str = setting(..., "the file, or its name somewhere in the data folder; .xz and .gz are found too", bites="data")
    document: Literal["line", "paragraph", "file"] = setting("line", "what one document is", other="file", bites="data")
    licence: str = setting("unknown", "under which the text may be used", other="public domain", bites="report")
    sha256: str | None = setting(None, "which the unpacked file must have", bites="report")
    source: str | None = setting(None, "where the file can be had", bites="report")

    def load(self, data_dir: Path | None) -> Corpus:
        """Raises DataError when the file is missing, unreadable, empty or not the one that `sha256` names."""
        file = find(self.path, data_dir, self.source)
        data = read(file)
        found = hashlib.sha256(data).hexdigest()
        if self.sha256 is not None and found != self.sha256.lower():
            raise DataError(f"corpus.sha256: {file} is {found}, not {self.sha256}; get the right file, or correct the setting")
        documents = cut(data, self.document)
        if not documents:
            raise DataError(f"corpus.path: {file} has no text in it; name a file with at least one {self.document}")
        name = Path(self.path).name.removesuffix(".xz").removesuffix(".gz")
        return Corpus(name, documents, groups=None, licence=self.licence, source=self.source or self.path)

    def version(self, data_dir: Path | None) -> str:
        """sha256 of the file as it lies there."""
        file = find(self.path, data_dir, self.source)
        try:
            with file.open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise _unreadable(file, error) from None


def cut(data: bytes, document: Literal["line", "paragraph", "file"]) -> list[bytes]:
    """The non-empty documents of a file."""
    if document == "line":
        pieces = data.split(b"\n")
    elif document == "paragraph":
        pieces = re.split(rb"(?:\A|\n)(?:\r?\n)+", data)
        pieces[-1] = pieces[-1].removesuffix(b"\n")
    else:
        pieces = [data.removesuffix(b"\n")]
    return [piece for piece in pieces if piece]


def find(path: str, data_dir: Path | None, source: str | None = None) -> Path:
    """The file at `path`, else in the data folder by that path or, anywhere inside, by its name alone.

    Raises DataError when there is none, or when several files of that name are in different sub-folders.
    """
    roots = [Path(), *([data_dir] if data_dir is not None else [])]
    for candidate in (root / f"{path}{ending}" for root in roots for ending in COMPRESSIONS):
        if candidate.is_file():
            return candidate
    name = Path(path).name
    found = [] if data_dir is None else _named(data_dir, name)
    if not found:
        searched = f"the folder {Path.cwd()}" + (f" and {data_dir} with its sub-folders" if data_dir is not None else "")
        get = f"get it from {source} and " if source is not None else ""
        raise DataError(
            f"corpus.path: no file {path} (nor {name}.xz, {name}.gz) in {searched}; "
            f"{get}name the folder that holds it with --data-dir DIR, or the file with corpus.path=FILE"
        )
    if len({file.parent for file in found}) > 1:
        raise DataError(
            f"corpus.path: several files are called {name}: {', '.join(map(str, found))}; name one of them with corpus.path=FILE"
        )
    return found[0]


def _named(folder: Path, name: str) -> list[Path]:
    """Files called `name` below a folder, packed or not, the unpacked one first."""
    wanted = [f"{name}{ending}" for ending in COMPRESSIONS]
    found = [Path(place) / file for place, _, files in os.walk(folder) for file in files if file in wanted]
    return sorted(found, key=lambda file: (wanted.index(file.name), file))


def read(file: Path) -> bytes:
    """The bytes of a file, unpacked. Raises DataError when it is damaged or unreadable."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from None
    try:
        if file.suffix == ".xz":
            return lzma.decompress(data)
        return gzip.decompress(data) if file.suffix == ".gz" else data
    except (lzma.LZMAError, OSError, EOFError, ValueError) as error:
        raise DataError(f"corpus.path: {file} cannot be unpacked ({error}); get an undamaged copy") from None


def _unreadable(file: Path, error: OSError) -> DataError:
    return DataError(f"corpus.path: {file} cannot be read ({error.strerror}); check its permissions")
