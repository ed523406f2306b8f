"""Titles of Hacker News, one document a title: short texts by many hands.

They are the titles of the hub's data set `julien040/hacker-news-posts`, about 4 million, or those of a file, whose name
says its format. `.tsv`: fields between tabs; the first line names them, `title` among them, or there is no
such line and each line has three: the source, a date such as 2016-08-04, and the title. `.txt`, or no ending: one title a line.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from assay.core.cache import get_or_build
from assay.core.config import setting
from assay.core.trees import digest
from assay.core.words import format_count
from assay.errors import DataError
from assay.text.content_check import refuse_bytes
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.decompression import COMPRESSIONS, FileContent, read_file, refuse_binary
from assay.text.files import file_sha256, find_own_file
from assay.text.hub import fetch_revision, is_local_folder, sample_dataset, shuffle_rows
from assay.text.text_audit import TextAudit
from assay.text.utf8 import BYTE_ORDER_MARK, decode_text, encode_text

NAME = "titles.tsv"
COLUMN = "title"
DATE = re.compile(rb"\d{4}-\d\d-\d\d")
BREAK = re.compile(r"\s*[\r\n]\s*", re.ASCII)


class Titles(NamedTuple):
    """Titles as they were found, where, and notes on them."""

    texts: list[bytes]
    source: str
    notes: tuple[str, ...] = ()


class HackerNewsConfig(CorpusConfig):
    """`count` titles of a file, or of the hub where no `titles.tsv` is found in the current folder or the data folder.

    A seed and a count take the same titles from the hub as `load_dataset(hub).shuffle(seed).take(count)`, by which others
    took theirs; a file's are shuffled likewise, even if all are taken, since they may be in the order of their sources. White space
    around a title is dropped, a line break inside becomes a space, and empty titles are left out.
    """

    kind: Literal["hacker_news"] = "hacker_news"
    path: str = setting(
        NAME, "the file, or its name somewhere in the data folder; .xz, .gz, .zst and .zip are found too", affects="data", min_length=1
    )
    count: int = setting(100_000, "how many titles to take", alternative=40, affects="data", gt=0)
    seed: int = setting(1337, "seed of the choice and its order; another seed takes other titles", alternative=1338, affects="data", ge=0)
    hub: str = setting("julien040/hacker-news-posts", "the data set to take where there is no file", affects="data", min_length=1)

    def load(self, data_dir: Path | None) -> Corpus:
        """Load the titles. Raises DataError when there is neither a file nor a data set, and for a damaged file or another format."""
        file = find_own_file(self.path, NAME, data_dir)
        titles = self._fetched_titles() if file is None else self._titles_of(file)
        documents, notes = clean_titles(titles.texts)
        if not documents:
            raise DataError(f"corpus {self.kind}: there is no title in {titles.source}; name a file of titles with corpus.path=FILE")
        fewer = f"{format_count(len(documents), 'title')}, {self.count:,} were asked for"
        return Corpus(
            name=self.kind,
            documents=documents,
            groups=None,
            licence="by their users, none stated: for experiments only, not to be passed on",
            source=titles.source,
            notes=((fewer,) if len(documents) < self.count else ()) + titles.notes + notes,
        )

    def version(self, data_dir: Path | None) -> str:
        """Compute the sha256 of the file; without one, of the titles from the hub and their revision, which are fetched if need be."""
        return file_sha256(find_own_file(self.path, NAME, data_dir) or self._fetch())

    def _titles_of(self, file: Path) -> Titles:
        titles = read_titles(read_file(file))
        order = shuffle_rows(len(titles.texts), self.count, self.seed)
        return Titles([titles.texts[row] for row in order], self.path, titles.notes)

    def _fetched_titles(self) -> Titles:
        tree = json.loads(self._fetch().read_text(encoding="utf-8"))
        source = f"Hugging Face data set {self.hub}, revision {tree['revision']}, {format_count(tree['rows'], 'row')}"
        return Titles([title.encode() for title in tree["titles"]], source)

    def _fetch(self) -> Path:
        """Fetch titles from the hub into a file in the cache, once: they stay the same when the data set grows."""
        local = fetch_revision(self.hub) if is_local_folder(self.hub) else ""  # whose content may change under its name
        instead = f"put a file {NAME} (or with {', '.join(COMPRESSIONS[1:])}) into {Path.cwd()}, or name its folder with --data-dir DIR"

        def build(folder: Path) -> None:
            sample = sample_dataset(self.hub, COLUMN, self.count, self.seed, instead)
            tree = {"revision": sample.revision, "rows": sample.rows, "titles": [title or "" for title in sample.texts]}
            (folder / "titles.json").write_text(json.dumps(tree), encoding="utf-8")

        return get_or_build("hub", digest([self.hub, local, COLUMN, self.count, self.seed])[:32], build) / "titles.json"


def clean_titles(titles: Iterable[bytes]) -> tuple[list[bytes], tuple[str, ...]]:
    """Strip the titles and join their lines. Returns those that are not empty, and notes on what was unusual."""
    stripped = [decode_text(title).strip() for title in titles]  # white space as Python knows it; bytes that are not UTF-8 are none
    broken = sum(bool(BREAK.search(title)) for title in stripped)
    documents = [encode_text(BREAK.sub(" ", title)) for title in stripped if title]
    audit, empty, repeated = TextAudit(), len(stripped) - len(documents), len(documents) - len(set(documents))
    audit.add_documents(documents)
    notes = {
        f"{format_count(empty, 'empty title')} left out": empty,
        f"{format_count(broken, 'title')} had line breaks, which are spaces now": broken,
        f"{format_count(repeated, 'title')} the same as another, all kept": repeated,
    }
    return documents, tuple(note for note, count in notes.items() if count) + audit.notes()


def read_titles(file: FileContent) -> Titles:
    """Read the titles of a file, empty ones too. Raises DataError for another format."""
    if file.extension not in (".tsv", ".txt", ""):
        raise DataError(
            f"corpus.path: {file.path} ends in {file.extension}, but titles are read from .tsv and .txt; convert it, or read it as it is "
            f"with corpus=text (for .jsonl and .parquet with corpus.field={COLUMN})"
        )
    refuse_binary(file)
    refuse_bytes(file, f"corpus=text corpus.path={file.path} corpus.format=text")
    lines = [line.removesuffix(b"\r") for line in file.data.removeprefix(BYTE_ORDER_MARK).removesuffix(b"\n").split(b"\n")]
    notes = ["a byte order mark before the first title is left out"] if file.data.startswith(BYTE_ORDER_MARK) else []
    if file.extension == ".tsv":
        return Titles(_read_column(lines, file.path), file.path, tuple(notes))
    tabs = sum(b"\t" in line for line in lines)
    if tabs and tabs == sum(map(bool, lines)):
        raise DataError(f"corpus.path: every line of {file.path} has tabs, as a table has; let its name end in .tsv")
    notes += [f"{format_count(tabs, 'title')} with tabs, which are kept"] if tabs else []
    return Titles(lines, file.path, tuple(notes))


def _read_column(lines: list[bytes], place: str) -> list[bytes]:
    """Read the titles of a table."""
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
