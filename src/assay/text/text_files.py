"""Read your own texts: a file or a folder of files, plain or compressed, byte for byte."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from assay.core.config import setting
from assay.core.trees import digest
from assay.core.words import format_count, format_list
from assay.errors import ConfigError, DataError
from assay.text.content_check import check_plain_text
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.decompression import FileContent, read_file, refuse_binary, strip_compression
from assay.text.files import file_sha256, find_text, list_folder
from assay.text.records import READERS
from assay.text.text_audit import SHOWN, TextAudit

DocumentUnit = Literal["line", "paragraph", "file"]
Format = Literal["text", "jsonl", "csv", "tsv", "parquet"]
AS_IT_IS = "corpus.format=text"
FIELD = "text"
ENDINGS = (".txt", ".md", ".jsonl", ".parquet")
ENDING = re.compile(r"\.[^./A-Z]+")


class TextConfig(CorpusConfig):
    """A file, or the files of a folder and of the folders in it in the order of their paths, cut into documents.

    `line`: one document a line, split at the newline byte; empty lines are left out.
    `paragraph`: documents are separated by one or more blank lines, a lone carriage return counting as blank.
    `file`: the whole file is one document.
    A newline at the end of a file belongs to the last document's end. Every other byte is kept as it is: carriage returns,
    NUL, byte order marks and what is not UTF-8; the notes of the corpus report them.

    In .jsonl (or .ndjson), .csv, .tsv and .parquet each record is a document, for which `document` must be `line`; a record whose `field`
    is empty or null is left out. A file's name says its format, that of its compression aside; in a .zip it is the name of the one file
    inside. What is plain text by its name is judged by its content: bytes that are no text and JSON Lines are refused, and what is written
    like a table is noted. `format` says the format instead of names and contents; with `text`, all bytes are taken unjudged.

    Of a folder, hidden files and files with other `endings` are left out; an unreadable one is refused.
    """

    kind: Literal["text"] = "text"
    path: str = setting(
        ...,
        "the file, or its name somewhere in the data folder, or a folder; .xz, .gz, .zst and .zip are found too",
        affects="data",
        min_length=1,
    )
    document: DocumentUnit = setting("line", "what one document is", alternative="file", affects="data")
    field: str = setting(FIELD, "which field of records, or column of a table, holds the text", alternative="title", affects="data")
    endings: tuple[str, ...] = setting(
        ENDINGS, "which files of a folder are read, packed or not", alternative=(".txt",), affects="data", min_length=1
    )
    format: Format | None = setting(
        None, "what the files are, whatever their names and contents say (absent: as these say)", alternative="text", affects="data"
    )
    licence: str = setting("unknown", "the licence of the text, for the record", alternative="public domain", affects="report")
    sha256: str | None = setting(
        None, "the required sha256 of the unpacked file, or of a folder's files joined (absent: any)", affects="report"
    )
    source: str | None = setting(None, "where to get the file, for error messages", affects="report")

    @model_validator(mode="after")
    def _check_endings(self) -> Self:
        for ending in self.endings:
            if not ENDING.fullmatch(ending):
                raise ConfigError("endings", f"'{ending}' is not an ending; write a dot and small letters, such as .txt")
        return self

    def load(self, data_dir: Path | None) -> Corpus:
        """Load the text. Raises DataError for a missing, unreadable, damaged or binary file, another `sha256`, and empty files alone."""
        place = find_text(self.path, data_dir, self.source)
        files, others = self._files(place)
        audit, raw, documents = TextAudit(), hashlib.sha256(), list[bytes]()
        for file in map(read_file, files):
            raw.update(file.data)
            audit.add_file(file.path, file.data)
            documents += self._read_documents(file, audit)
        if self.sha256 is not None and raw.hexdigest() != self.sha256.lower():
            raise DataError(f"corpus.sha256: {place} is {raw.hexdigest()}, not {self.sha256}; get the right file, or correct the setting")
        records = audit.counts["record_files"] > 0
        if not documents:
            raise DataError(
                f"corpus.path: {place} has no text in it; name a file with at least one {'record' if records else self.document}"
            )
        if self.field != FIELD and not records:
            raise DataError(f"corpus.field: {place} is plain text without fields; set corpus.field={FIELD}")
        audit.add_documents(documents)
        left = [other.relative_to(place).as_posix() for other in others]
        notes = (f"{format_count(len(left), 'other file')} of the folder left out: {format_list(left, SHOWN)}",) if left else ()
        name = strip_compression(place.name) if place.is_file() else place.resolve().name
        return Corpus(name, documents, groups=None, licence=self.licence, source=self.source or self.path, notes=audit.notes() + notes)

    def version(self, data_dir: Path | None) -> str:
        """Compute the sha256 of the file; of a folder, of the paths of its files and the sha256 of each."""
        place = find_text(self.path, data_dir, self.source)
        if place.is_file():
            return file_sha256(place)
        return digest([[file.relative_to(place).as_posix(), file_sha256(file)] for file in self._files(place)[0]])

    def _files(self, place: Path) -> tuple[list[Path], list[Path]]:
        """List the files to read, and those of the folder that are left out."""
        if place.is_file():
            if self.endings != ENDINGS:
                raise DataError(f"corpus.endings: {place} is a file, and endings choose the files of a folder; leave them out")
            return [place], []
        files, others = list_folder(place, self.endings)
        if not files:
            raise DataError(
                f"corpus.path: the folder {place} has no file that ends in {', '.join(self.endings)} "
                f"({format_count(len(others), 'other file')}); name another folder, or the endings to read with corpus.endings"
            )
        return files, others

    def _read_documents(self, file: FileContent, audit: TextAudit) -> Iterable[bytes]:
        """Read the documents of one file."""
        reader = READERS.get(file.extension if self.format is None else f".{self.format}")
        if reader is None:
            if self.format is None:
                refuse_binary(file)
                audit.add_remarks(check_plain_text(file, AS_IT_IS))
            audit.add_plain_text(file.data)
            return split_documents(file.data, self.document)
        if self.document != "line":
            raise DataError(f"corpus.document: each record of {file.path} is a document; set corpus.document=line")
        return audit.add_records(reader(file, self.field))


def split_documents(data: bytes, document: DocumentUnit) -> list[bytes]:
    """Split a file into its non-empty documents."""
    if document == "line":
        pieces = data.split(b"\n")
    elif document == "paragraph":
        pieces = re.split(rb"(?:\A|\n)(?:\r?\n)+", data)
        pieces[-1] = pieces[-1].removesuffix(b"\n")
    else:
        pieces = [data.removesuffix(b"\n")]
    return [piece for piece in pieces if piece]
