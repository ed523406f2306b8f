"""Titles come from a file whose format its name tells, or from the hub; each is one document."""

import lzma
import sys
from pathlib import Path

import numpy as np
import pytest

from assay.core.install import write_assay_line
from assay.errors import ConfigError, DataError
from assay.text import hacker_news
from assay.text.decompression import FileContent
from assay.text.hacker_news import HackerNewsConfig, clean_titles, read_titles
from assay.text.hub import DatasetSample

TABLE = b"kaggle\t2016-08-04\tShow HN: A\nkaggle\t2016-01-26\t B\xc3\xa9 \r\namutu\t2020-02-02\t\xff\x00\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, a data folder and a cache."""
    for name in ("here", "data/inner"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path


def titles(data: bytes, name: str = "titles.tsv") -> list[bytes]:
    return read_titles(FileContent(f"here/{name}", name, data))[0]


def test_a_table_of_source_date_and_title(folder: Path) -> None:
    (folder / "data/inner/titles.tsv.xz").write_bytes(lzma.compress(TABLE))
    corpus = HackerNewsConfig().load(folder / "data")
    assert sorted(corpus.documents) == [b"B\xc3\xa9", b"Show HN: A", b"\xff\x00"]
    assert (corpus.name, corpus.source, corpus.separator) == ("hacker_news", "titles.tsv", b"\n")
    assert "experiments only" in corpus.licence
    place = corpus.documents.index(b"\xff\x00") + 1
    broken = f"1 of 3 documents are not UTF-8 and are kept byte for byte; the first is number {place}"
    assert corpus.notes == ("3 titles, 100,000 were asked for", "1 NUL byte kept", broken)


def test_a_table_with_names_of_its_columns() -> None:
    assert titles(b"id\tTitle\turl\n1\tA\tx\n2\tB\ty") == [b"A", b"B"]
    assert titles(b"title\nA\n\nB") == [b"A", b"", b"B"]
    assert titles(b"\xef\xbb\xbftitle\tid\r\nA\t1\r\n") == [b"A"]


def test_titles_one_a_line() -> None:
    assert titles(b"A\n\n B\tC \r\nkaggle\t2016-08-04\tD", "mine.txt") == [b"A", b"", b" B\tC ", b"kaggle\t2016-08-04\tD"]
    assert titles(b"A", "titles") == [b"A"]


@pytest.mark.parametrize(
    ("name", "data", "cause"),
    [
        ("a.tsv", b"A\nB", "line 1 of here/a.tsv neither names its columns"),
        ("a.tsv", b"", "line 1 of here/a.tsv neither names its columns"),
        ("a.tsv", b"1\tA\n2\tB", "line 1 of here/a.tsv neither names its columns"),
        ("a.tsv", b"kaggle\t04.08.2016\tA", "line 1 of here/a.tsv neither names its columns"),
        ("a.tsv", b"title\ttitle\nA\tB", "line 1 of here/a.tsv neither names its columns"),
        ("a.tsv", TABLE + b"\nkaggle\t2016-08-04\tA\tB", "line 5 of here/a.tsv has 4 fields, not 3"),
        ("a.tsv", b"id\ttitle\n1\tA\n2", "line 3 of here/a.tsv has 1 fields, not 2"),
        ("a.txt", TABLE, "every line of here/a.txt has tabs, as a table has; let its name end in .tsv"),
        ("a.csv", b"id,title\n1,A", "here/a.csv ends in .csv, but titles are read from .tsv and .txt"),
        ("a.jsonl", b'{"title": "A"}', "here/a.jsonl ends in .jsonl"),
        ("a.tsv", b"\x1f\x8b\x08\x00\x00", "here/a.tsv is packed with gzip"),
    ],
)
def test_a_format_is_never_guessed(name: str, data: bytes, cause: str) -> None:
    with pytest.raises(DataError) as refused:
        titles(data, name)
    assert str(refused.value).startswith(f"corpus.path: {cause}")


def test_what_is_left_out_and_changed_is_told(folder: Path) -> None:
    documents, notes = clean_titles([b"A", b"\xc2\xa0 A \n", b"", b" \t", b"B \r\n C\rD", b"E\tF"])
    assert documents == [b"A", b"A", b"B C D", b"E\tF"]
    assert notes == ("2 empty titles left out", "1 title had line breaks, which are spaces now", "1 title the same as another, all kept")
    assert read_titles(FileContent("a.txt", "a.txt", b"\xef\xbb\xbfA\tB\nC")).notes == (
        "a byte order mark before the first title is left out",
        "1 title with tabs, which are kept",
    )


def write_numbers(count: int) -> None:
    Path("titles.tsv").write_text("title\n" + "".join(f"{number}\n" for number in range(count)), encoding="utf-8")


def test_a_count_of_them_is_taken_in_the_order_in_which_datasets_shuffles() -> None:
    write_numbers(50)
    corpus = HackerNewsConfig(count=20, seed=3).load(None)
    assert [int(title) for title in corpus.documents] == np.random.default_rng(3).permutation(50)[:20].tolist()
    assert corpus.notes == ()
    assert HackerNewsConfig(count=20, seed=4).load(None).documents != corpus.documents


def test_fewer_than_asked_for_are_shuffled_too_and_told() -> None:
    write_numbers(50)
    corpus = HackerNewsConfig(count=1000, seed=3).load(None)
    assert [int(title) for title in corpus.documents] == np.random.default_rng(3).permutation(50).tolist()
    assert corpus.notes == ("50 titles, 1,000 were asked for",)


def test_a_file_without_titles_is_refused() -> None:
    Path("titles.tsv").write_bytes(b"title\n\n \n")
    with pytest.raises(DataError, match=r"there is no title in titles\.tsv; name a file of titles"):
        HackerNewsConfig().load(None)


def test_the_version_follows_the_content_of_the_file() -> None:
    write_numbers(5)
    before = HackerNewsConfig().version(None)
    write_numbers(6)
    assert HackerNewsConfig().version(None) != before


def test_who_names_a_file_gets_that_file_and_not_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hacker_news, "sample_dataset", None)
    with pytest.raises(DataError, match=r"no file mine\.tsv"):
        HackerNewsConfig(path="mine.tsv").load(folder / "data")


@pytest.mark.parametrize("data", [None, "data"])
def test_without_a_file_and_without_datasets_both_remedies_are_named(
    folder: Path, data: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError) as refused:
        HackerNewsConfig().version(None if data is None else folder / data)
    message = str(refused.value)
    for needed in ("julien040/hacker-news-posts", write_assay_line("hub"), "titles.tsv", str(folder / "here"), "--data-dir"):
        assert needed in message
    assert "\n" not in message


def test_titles_of_the_hub_are_fetched_once_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def draw(name: str, column: str, count: int, seed: int, instead: str) -> DatasetSample:
        asked.append((name, column, count, seed))
        return DatasetSample(["A", None, " B\nC "], 4_000_000, f"commit{len(asked)}")

    monkeypatch.setattr(hacker_news, "sample_dataset", draw)
    config = HackerNewsConfig(count=3)
    assert config.version(None) == config.version(None)
    corpus = config.load(None)
    assert corpus.documents == [b"A", b"B C"]
    assert corpus.source == "Hugging Face data set julien040/hacker-news-posts, revision commit1, 4,000,000 rows"
    assert corpus.notes[:2] == ("2 titles, 3 were asked for", "1 empty title left out")
    assert asked == [("julien040/hacker-news-posts", "title", 3, 1337)]
    assert HackerNewsConfig(count=3, seed=1).version(None) != config.version(None)
    assert len(asked) == 2


@pytest.mark.parametrize("wrong", [{"count": 0}, {"seed": -1}, {"path": ""}, {"hub": ""}])
def test_settings_are_within_reason(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        HackerNewsConfig.make(wrong)
