"""Count what a reader of a corpus should know: unusual bytes that are kept, and records and files that are left out."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

from assay.core.words import format_count, format_list
from assay.text.utf8 import BYTE_ORDER_MARK, is_utf8

SHOWN = 4  # names in a list before the rest is only counted


class TextAudit:
    """Counts over the files and documents of a corpus, and the notes on what is unusual in them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.repeated: list[str] = []
        self.remarks: list[str] = []  # notes of others on single files
        self.first_invalid_utf8 = 0  # number of the first document that is not UTF-8, from 1
        self._seen: dict[bytes, str] = {}

    def add_file(self, place: str, data: bytes) -> None:
        """Count a file, unpacked; a file that repeats another is recognised by its hash."""
        content = hashlib.sha256(data).digest()
        if self._seen.setdefault(content, place) != place and data:
            self.repeated.append(f"{place} repeats {self._seen[content]}")
        self.counts["files"] += 1
        self.counts["empty_files"] += not data

    def add_records(self, records: Iterable[bytes | None]) -> Iterator[bytes]:
        """Count a file of records and the records without text; gives those with text."""
        self.counts["record_files"] += 1
        for record in records:
            self.counts["blank"] += not record
            if record:
                yield record

    def add_plain_text(self, data: bytes) -> None:
        """Count the line ends of a file of plain text."""
        returns, newlines = data.count(b"\r\n"), data.count(b"\n")
        self.counts["marks"] += data.startswith(BYTE_ORDER_MARK)
        self.counts["lines"] += newlines
        self.counts["returns"] += returns
        self.counts["old_lines"] += not newlines and b"\r" in data

    def add_remarks(self, remarks: Iterable[str]) -> None:
        """Add what was found in a file by others."""
        self.remarks += remarks

    def add_documents(self, documents: Iterable[bytes]) -> None:
        """Count the documents, in the order of the corpus."""
        for document in documents:
            self.counts["documents"] += 1
            self.counts["nul"] += document.count(b"\0")
            if not is_utf8(document):
                self.counts["broken"] += 1
                self.first_invalid_utf8 = self.first_invalid_utf8 or self.counts["documents"]

    def notes(self) -> tuple[str, ...]:
        """Write one clause for each unusual thing."""
        of = self.counts
        lines = f"{of['returns']:,} of {format_count(of['lines'], 'line')} end in CR LF, and the carriage returns are kept"
        broken = (
            f"{of['broken']:,} of {format_count(of['documents'], 'document')} are not UTF-8 and are kept byte for byte; "
            f"the first is number {self.first_invalid_utf8:,}"
        )
        clauses = {
            "marks": f"a byte order mark begins {'the file' if of['files'] == 1 else format_count(of['marks'], 'file')} and is kept",
            "returns": lines,
            "old_lines": "there are carriage returns but no newlines, so nothing ends a line",
            "nul": f"{format_count(of['nul'], 'NUL byte')} kept",
            "broken": broken,
            "blank": f"{format_count(of['blank'], 'record')} without text left out",
            "empty_files": f"{format_count(of['empty_files'], 'empty file')} left out",
        }
        notes = [*self.remarks[:SHOWN], *(clause for name, clause in clauses.items() if of[name])]
        if self.repeated:
            notes.append(
                f"{format_count(len(self.repeated), 'file')} with the content of another, all kept: {format_list(self.repeated, SHOWN)}"
            )
        return tuple(notes)
