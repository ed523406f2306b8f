"""The Bible in the American King James Version: 31,102 verses in 66 books, one document a verse.

The text is that of the package `pythonbible-akjv`. Its conversion lost the s of possessives ("my brother' keeper") and
the space after plurals ("fathers'houses"); both are put back by rule, and the whole is checked against a known hash.
"""

import hashlib
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

from assay.core.config import setting
from assay.core.install import write_install_line
from assay.errors import DataError
from assay.text.corpus import Corpus, CorpusConfig

VERSES = 31_102
PACKAGE = "pythonbible-akjv"
REQUIREMENT = f"{PACKAGE}==0.0.2"
# of the repaired text, rendered as `Genesis 1:1<TAB>In the beginning ...<NEWLINE>`, 4,511,940 bytes
REFERENCE = "85ae37ef34b348cea31caccb632404b6822364a069346eb2abe488caacc8d5b4"


class Verse(NamedTuple):
    """One verse and its place."""

    book: str
    chapter: int
    number: int
    text: str


class BibleError(DataError):
    """The package of the Bible is missing or holds another text."""

    def __init__(self, reason: str) -> None:
        self.reason, self.remedy = reason, f"run: {write_install_line(REQUIREMENT)}"
        super().__init__(f"corpus bible: {reason}; {self.remedy}")


class BibleConfig(CorpusConfig):
    """The Bible, one document a verse, grouped by book; with `book_name`, `Genesis: In the beginning ...`."""

    kind: Literal["bible"] = "bible"
    book_name: bool = setting(False, "put the name of its book before each verse", alternative=True, affects="data")
    verses: int | None = setting(
        None, "how many of its first verses to take (absent: all)", alternative=1000, affects="data", ge=1, le=VERSES
    )

    def load(self, data_dir: Path | None) -> Corpus:
        """Load the verses. Raises DataError when the package is missing or its text is not the known one."""
        verses = read_verses()
        check_verses(verses)
        verses = verses[: self.verses]
        texts = [f"{verse.book}: {verse.text}" if self.book_name else verse.text for verse in verses]
        return Corpus(
            name="bible",
            documents=[text.encode() for text in texts],
            groups=[verse.book for verse in verses],
            licence="public domain (American King James Version); package MIT",
            source=f"PyPI {PACKAGE} {self.version(data_dir)}",
            notes=(f"the first {len(verses):,} of {VERSES:,} verses",) if len(verses) < VERSES else (),
        )

    def version(self, data_dir: Path | None) -> str:
        """Read the version of the package that holds the text."""
        try:
            return version(PACKAGE)
        except PackageNotFoundError:
            raise BibleError(f"the package {PACKAGE} is not installed") from None


def read_verses() -> list[Verse]:
    """Read the repaired verses in order. A verse's id in the package is book * 10^6 + chapter * 10^3 + number."""
    try:
        from pythonbible_akjv.plain_text_readers_bible import bible  # noqa: PLC0415  6 MB, needed here only
    except ImportError as missing:
        raise BibleError(f"the package {PACKAGE} cannot be imported ({missing})") from None
    titles = list(bible.short_titles.values())
    content, ends = bible.scripture_content, bible.verse_end_indices
    return [
        Verse(titles[place // 10**6 - 1], place // 1000 % 1000, place % 1000, repair_possessives(content[start : ends[place]].strip()))
        for place, start in bible.verse_start_indices.items()
    ]


def repair_possessives(text: str) -> str:
    """Repair `fathers'houses` to `fathers' houses` and `brother' keeper` to `brother's keeper`; `sons' ` is right."""
    return re.sub(r"'(\w)|(?<!sons)'", lambda match: f"' {match[1]}" if match[1] else "'s", text)


def check_verses(verses: list[Verse]) -> None:
    """Raise DataError unless the verses, rendered with their places, have the known hash."""
    rendered = "".join(f"{verse.book} {verse.chapter}:{verse.number}\t{verse.text}\n" for verse in verses)
    digest = hashlib.sha256(rendered.encode()).hexdigest()
    if digest != REFERENCE:
        raise BibleError(f"the installed {PACKAGE} holds another text (sha256 {digest[:12]}, expected {REFERENCE[:12]})")
