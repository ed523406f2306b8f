"""What a person should know of a text that was read: bytes that are kept as they are, and what was left out."""

import codecs
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

MARK = codecs.BOM_UTF8
PIECE = 2**20  # bytes that are decoded at once, so that a long document is not in memory twice


class Remarks:
    """Counts over the files and documents of a corpus, and the `notes` that tell of them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.repeated: list[str] = []
        self.first_broken = 0  # number of the first document that is not UTF-8, from 1
        self._seen: dict[bytes, str] = {}

    def file(self, place: str, data: bytes) -> None:
        """A file, unpacked. It is known again by its hash, and its text is not kept."""
        content = hashlib.sha256(data).digest()
        if self._seen.setdefault(content, place) != place and data:
            self.repeated.append(f"{place} repeats {self._seen[content]}")
        self.counts["files"] += 1
        self.counts["empty_files"] += not data

    def record_file(self) -> None:
        """A file of records."""
        self.counts["record_files"] += 1

    def blank_record(self) -> None:
        """A record without text."""
        self.counts["blank"] += 1

    def plain(self, data: bytes) -> None:
        """A file's bytes, all of which are text."""
        returns, newlines = data.count(b"\r\n"), data.count(b"\n")
        self.counts["marks"] += data.startswith(MARK)
        self.counts["lines"] += newlines
        self.counts["returns"] += returns
        self.counts["old_lines"] += not newlines and b"\r" in data

    def documents(self, documents: Iterable[bytes]) -> None:
        """The documents, in the order of the corpus."""
        for document in documents:
            self.counts["documents"] += 1
            self.counts["nul"] += document.count(b"\0")
            if not is_utf8(document):
                self.counts["broken"] += 1
                self.first_broken = self.first_broken or self.counts["documents"]

    def notes(self) -> tuple[str, ...]:
        """One clause for each thing that was found."""
        of = self.counts
        lines = f"{of['returns']:,} of {many(of['lines'], 'line')} end in CR LF, and the carriage returns are kept"
        broken = (
            f"{of['broken']:,} of {many(of['documents'], 'document')} are not UTF-8 and are kept byte for byte; "
            f"the first is number {self.first_broken:,}"
        )
        clauses = {
            "marks": f"a byte order mark begins {'the file' if of['files'] == 1 else many(of['marks'], 'file')} and is kept",
            "returns": lines,
            "old_lines": "there are carriage returns but no newlines, so nothing ends a line",
            "nul": f"{many(of['nul'], 'NUL byte')} kept",
            "broken": broken,
            "blank": f"{many(of['blank'], 'record')} without text left out",
            "empty_files": f"{many(of['empty_files'], 'empty file')} left out",
        }
        found = [clause for name, clause in clauses.items() if of[name]]
        if self.repeated:
            found.append(f"{many(len(self.repeated), 'file')} with the content of another, all kept: {listed(self.repeated)}")
        return tuple(found)


def is_utf8(data: bytes, *, whole: bool = True) -> bool:
    """Whether bytes are UTF-8; unless they are the `whole`, the last character may be cut."""
    if data.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), PIECE):
            decoder.decode(data[start : start + PIECE])
        decoder.decode(b"", final=whole)
    except UnicodeDecodeError:
        return False
    return True


def many(count: int, noun: str) -> str:
    """`1 file`, `1,234 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], shown: int = 3) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest:,} more" if rest > 0 else "")
