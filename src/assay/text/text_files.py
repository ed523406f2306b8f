"""Texts of one's own: a file or a folder of files, plain or packed, kept byte for byte."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from assay.core.config import digest, setting
from assay.errors import ConfigError, DataError
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.files import file_sha256, find, members
from assay.text.packing import Unpacked, bare, read, refuse_binary
from assay.text.records import READERS
from assay.text.remarks import Remarks, listed, many

Document = Literal["line", "paragraph", "file"]
FIELD = "text"
ENDINGS = (".txt", ".md", ".jsonl", ".parquet")
ENDING = re.compile(r"\.[^./A-Z]+")


class TextConfig(CorpusConfig):
    """A file, or the files of a folder and of the folders in it in the order of their paths, cut into documents.

    `line`: one document a line, split at the newline byte; empty lines are no documents and are left out.
    `paragraph`: documents are separated by one or more blank lines, a lone carriage return counting as blank.
    `file`: the whole file is one document.
    A newline at the end of a file belongs to the last document's end. Every other byte is kept as it is: carriage returns,
    NUL, byte order marks and what is not UTF-8; the corpus' notes tell of them.

    In .jsonl and .parquet each record is a document, which only `line` says; a record whose `field` is empty or null is left
    out. A file's format is told by its name, that of its packing aside, and in a .zip by the name of the one file inside. Of a
    folder, hidden files and files with other `endings` are left out; an unreadable one is refused.
    """

    kind: Literal["text"] = "text"
    path: str = setting(
        ...,
        "the file, or its name somewhere in the data folder, or a folder; .xz, .gz, .zst and .zip are found too",
        bites="data",
        min_length=1,
    )
    document: Document = setting("line", "what one document is", other="file", bites="data")
    field: str = setting(FIELD, "which field of .jsonl and .parquet records holds the text", other="title", bites="data")
    endings: tuple[str, ...] = setting(
        ENDINGS, "which files of a folder are read, packed or not", other=(".txt",), bites="data", min_length=1
    )
    licence: str = setting("unknown", "under which the text may be used", other="public domain", bites="report")
    sha256: str | None = setting(None, "which the unpacked file, or those of a folder one after another, must have", bites="report")
    source: str | None = setting(None, "where the file can be had", bites="report")

    @model_validator(mode="after")
    def _write_endings_as_they_are_compared(self) -> Self:
        for ending in self.endings:
            if not ENDING.fullmatch(ending):
                raise ConfigError("endings", f"'{ending}' is no ending; write a dot and small letters, such as .txt")
        return self

    def load(self, data_dir: Path | None) -> Corpus:
        """Raises DataError when a file is missing, unreadable, damaged, no text or not what `sha256` names, and when all is empty."""
        place = find(self.path, data_dir, self.source)
        files, others = self._files(place)
        remarks, raw, documents = Remarks(), hashlib.sha256(), list[bytes]()
        for file in map(read, files):
            raw.update(file.data)
            remarks.file(file.place, file.data)
            documents += self._documents(file, remarks)
        if self.sha256 is not None and raw.hexdigest() != self.sha256.lower():
            raise DataError(f"corpus.sha256: {place} is {raw.hexdigest()}, not {self.sha256}; get the right file, or correct the setting")
        records = remarks.counts["record_files"] > 0
        if not documents:
            raise DataError(
                f"corpus.path: {place} has no text in it; name a file with at least one {'record' if records else self.document}"
            )
        if self.field != FIELD and not records:
            raise DataError(f"corpus.field: {place} is plain text without fields; set corpus.field={FIELD}")
        remarks.documents(documents)
        left = [other.relative_to(place).as_posix() for other in others]
        notes = (f"{many(len(left), 'other file')} of the folder left out: {listed(left)}",) if left else ()
        name = bare(place.name) if place.is_file() else place.resolve().name
        return Corpus(name, documents, groups=None, licence=self.licence, source=self.source or self.path, notes=remarks.notes() + notes)

    def version(self, data_dir: Path | None) -> str:
        """sha256 of the file as it lies there; of a folder, of the paths of its files and the sha256 of each."""
        place = find(self.path, data_dir, self.source)
        if place.is_file():
            return file_sha256(place)
        return digest([[file.relative_to(place).as_posix(), file_sha256(file)] for file in self._files(place)[0]])

    def _files(self, place: Path) -> tuple[list[Path], list[Path]]:
        """The files to read, and those of the folder that are left out."""
        if place.is_file():
            if self.endings != ENDINGS:
                raise DataError(f"corpus.endings: {place} is a file, and endings choose the files of a folder; leave them out")
            return [place], []
        files, others = members(place, self.endings)
        if not files:
            raise DataError(
                f"corpus.path: the folder {place} has no file that ends in {', '.join(self.endings)} ({many(len(others), 'other file')}); "
                "name another folder, or the endings to read with corpus.endings"
            )
        return files, others

    def _documents(self, file: Unpacked, remarks: Remarks) -> Iterator[bytes]:
        if file.ending not in READERS:
            refuse_binary(file)
            remarks.plain(file.data)
            yield from cut(file.data, self.document)
            return
        remarks.record_file()
        if self.document != "line":
            raise DataError(f"corpus.document: each record of {file.place} is a document; set corpus.document=line")
        for text in READERS[file.ending](file, self.field):
            if text:
                yield text
            else:
                remarks.blank_record()


def cut(data: bytes, document: Document) -> list[bytes]:
    """The non-empty documents of a file."""
    if document == "line":
        pieces = data.split(b"\n")
    elif document == "paragraph":
        pieces = re.split(rb"(?:\A|\n)(?:\r?\n)+", data)
        pieces[-1] = pieces[-1].removesuffix(b"\n")
    else:
        pieces = [data.removesuffix(b"\n")]
    return [piece for piece in pieces if piece]
