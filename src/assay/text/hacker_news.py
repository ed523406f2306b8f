"""Titles of Hacker News, one document a title: short texts by many hands.

They are the titles of the hub's data set `julien040/hacker-news-posts`, about 4 million, or those of a file, whose format is
told by its name and never guessed. `.tsv`: fields between tabs; the first line names them, `title` among them, or there is no
such line and each line has three: the source, a date such as 2016-08-04, and the title. `.txt`, or no ending: one title a line.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from assay.core.config import digest, setting
from assay.errors import DataError
from assay.text.cache import cached
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.files import file_sha256, look, missing
from assay.text.hub import draw, is_folder, revision, shuffled
from assay.text.packing import PACKINGS, Unpacked, read, refuse_binary
from assay.text.remarks import MARK, Remarks, many

NAME = "titles.tsv"
COLUMN = "title"
DATE = re.compile(rb"\d{4}-\d\d-\d\d")
BREAK = re.compile(rb"\s*[\r\n]\s*")


class Titles(NamedTuple):
    """Titles as they were found, and where."""

    texts: list[bytes]
    source: str
    notes: tuple[str, ...] = ()


class HackerNewsConfig(CorpusConfig):
    """`count` titles of a file, or of the hub where no `titles.tsv` is found in the current folder or the data folder.

    A seed and a count take the same titles from the hub as `load_dataset(hub).shuffle(seed).take(count)`, by which others
    took theirs; a file's are shuffled likewise, all of them too, since they may lie in the order of their sources. White space
    around a title is no part of it, a line break inside becomes a space, and empty titles are left out.
    """

    kind: Literal["hacker_news"] = "hacker_news"
    path: str = setting(
        NAME, "the file, or its name somewhere in the data folder; .xz, .gz, .zst and .zip are found too", bites="data", min_length=1
    )
    count: int = setting(100_000, "how many titles to take", other=40, bites="data", gt=0)
    seed: int = setting(1337, "another seed takes other titles in another order", other=1338, bites="data", ge=0)
    hub: str = setting("julien040/hacker-news-posts", "the data set that is taken where there is no file", bites="data", min_length=1)

    def load(self, data_dir: Path | None) -> Corpus:
        """Raises DataError when there is neither a file nor a data set, and for a file that is damaged or of another format."""
        file = self._file(data_dir)
        titles = self._of_hub() if file is None else self._of_file(file)
        documents, remarks = tidy(titles.texts)
        if not documents:
            raise DataError(f"corpus {self.kind}: there is no title in {titles.source}; name a file of titles with corpus.path=FILE")
        fewer = f"{many(len(documents), 'title')}, {self.count:,} were asked for"
        return Corpus(
            name=self.kind,
            documents=documents,
            groups=None,
            licence="by their users, none stated: for experiments only, not to be passed on",
            source=titles.source,
            notes=((fewer,) if len(documents) < self.count else ()) + titles.notes + remarks,
        )

    def version(self, data_dir: Path | None) -> str:
        """sha256 of the file as it lies there; without one, of the titles from the hub and their revision, fetched if need be."""
        return file_sha256(self._file(data_dir) or self._fetched())

    def _file(self, data_dir: Path | None) -> Path | None:
        file = look(self.path, data_dir)
        if file is None and self.path != NAME:  # who names a file wants that one
            raise missing(self.path, data_dir)
        return file

    def _of_file(self, file: Path) -> Titles:
        found, notes = read_titles(read(file))
        return Titles([found[row] for row in shuffled(len(found), self.count, self.seed)], self.path, notes)

    def _of_hub(self) -> Titles:
        tree = json.loads(self._fetched().read_text(encoding="utf-8"))
        source = f"Hugging Face data set {self.hub}, revision {tree['revision']}, {many(tree['rows'], 'row')}"
        return Titles([title.encode() for title in tree["titles"]], source)

    def _fetched(self) -> Path:
        """The file in the cache that the titles from the hub are kept in: they stay the same when the data set grows."""
        local = revision(self.hub) if is_folder(self.hub) else ""  # whose content may change under its name
        instead = f"put a file {NAME} (or with {', '.join(PACKINGS[1:])}) into {Path.cwd()}, or name its folder with --data-dir DIR"

        def fetch(folder: Path) -> None:
            drawn = draw(self.hub, COLUMN, self.count, self.seed, instead)
            tree = {"revision": drawn.revision, "rows": drawn.rows, "titles": [title or "" for title in drawn.texts]}
            (folder / "titles.json").write_text(json.dumps(tree), encoding="utf-8")

        return cached("hub", digest([self.hub, local, COLUMN, self.count, self.seed])[:32], fetch) / "titles.json"


def tidy(titles: Iterable[bytes]) -> tuple[list[bytes], tuple[str, ...]]:
    """The titles that are not empty, each in one line, and what a person should know of them."""
    bare = [_bare(title) for title in titles]
    broken = sum(bool(BREAK.search(title)) for title in bare)
    documents = [BREAK.sub(b" ", title) for title in bare if title]
    remarks, empty, again = Remarks(), len(bare) - len(documents), len(documents) - len(set(documents))
    remarks.documents(documents)
    notes = (
        (empty, f"{many(empty, 'empty title')} left out"),
        (broken, f"{many(broken, 'title')} had line breaks, which are spaces now"),
        (again, f"{many(again, 'title')} the same as another, all kept"),
    )
    return documents, tuple(note for count, note in notes if count) + remarks.notes()


def read_titles(file: Unpacked) -> tuple[list[bytes], tuple[str, ...]]:
    """The titles of a file, empty ones too, and what a person should know of it. Raises DataError for another format."""
    if file.ending not in (".tsv", ".txt", ""):
        raise DataError(
            f"corpus.path: {file.place} ends in {file.ending}, but titles are read from .tsv and .txt; convert it, or read it as it is "
            f"with corpus=text (for .jsonl and .parquet with corpus.field={COLUMN})"
        )
    refuse_binary(file)
    marked = file.data.startswith(MARK)
    lines = [line.removesuffix(b"\r") for line in file.data.removeprefix(MARK).removesuffix(b"\n").split(b"\n")]
    notes = ("a byte order mark before the first title is left out",) if marked else ()
    if file.ending == ".tsv":
        return _column(lines, file.place), notes
    tabs = sum(b"\t" in line for line in lines)
    if tabs and tabs == sum(map(bool, lines)):
        raise DataError(f"corpus.path: every line of {file.place} has tabs, as a table has; let its name end in .tsv")
    return lines, (*notes, f"{many(tabs, 'title')} with tabs, which are kept") if tabs else notes


def _column(lines: list[bytes], place: str) -> list[bytes]:
    """The titles of a table."""
    first = lines[0].split(b"\t")
    dated = len(first) == 3 and DATE.fullmatch(first[1]) is not None
    names = [name.strip().lower() for name in first]
    if not dated and names.count(COLUMN.encode()) != 1:
        raise DataError(
            f"corpus.path: line 1 of {place} neither names its columns, with one called {COLUMN}, nor is a source, a date such as "
            "2016-08-04 and a title between tabs; put a line with the columns' names first, or let its name end in .txt"
        )
    column, width, titles = 2 if dated else names.index(COLUMN.encode()), len(first), []
    for number, line in enumerate(lines if dated else lines[1:], start=1 if dated else 2):
        fields = line.split(b"\t")
        if len(fields) != width and line:
            raise DataError(
                f"corpus.path: line {number:,} of {place} has {len(fields)} fields, not {width}; correct the line, or take it out"
            )
        titles.append(fields[column] if line else b"")
    return titles


def _bare(title: bytes) -> bytes:
    """Without white space at both ends, as Python's `str.strip` knows it; bytes that are not UTF-8 are none."""
    return title.decode(errors="surrogateescape").strip().encode(errors="surrogateescape")
