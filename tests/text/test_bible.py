"""The Bible is the known text, with the conversion's two losses repaired."""

import re
from collections.abc import Sequence

import pytest

from assay.core.install import write_install_line
from assay.errors import DataError
from assay.text import bible
from assay.text.bible import BibleConfig
from assay.text.corpus import Corpus


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return BibleConfig().load(None)


def at(corpus: Corpus, book: str) -> Sequence[bytes]:
    assert corpus.groups is not None
    return [document for document, group in zip(corpus.documents, corpus.groups, strict=True) if group == book]


def test_it_has_31102_verses_in_66_books(corpus: Corpus) -> None:
    assert corpus.groups is not None
    assert len(corpus.documents) == len(corpus.groups) == 31_102
    assert len(set(corpus.groups)) == 66
    assert len(at(corpus, "Genesis")) == 1533
    assert len(at(corpus, "Jude")) == 25


def test_its_raw_text_is_the_known_one(corpus: Corpus) -> None:
    assert corpus.byte_count == 4_093_225
    assert corpus.sha256 == "db8050f6a6f8b0b69f18f0adced3c866aebf8d735e7b57fd6b985a7d7d5a9a07"


def test_its_first_and_last_verses_are_whole(corpus: Corpus) -> None:
    assert corpus.documents[0] == b"In the beginning God created the heaven and the earth."
    assert corpus.documents[-1] == b"The grace of our Lord Jesus Christ be with you all. Amen."


def test_possessives_have_their_s_and_plurals_their_space(corpus: Corpus) -> None:
    raw = b"\n".join(corpus.documents)
    assert b"Am I my brother's keeper?" in raw
    assert b"fathers' houses" in raw
    assert b"fathers'houses" not in raw
    assert b"came into Felix' room" in raw


def test_fewer_verses_are_the_first_ones_and_the_corpus_says_so(corpus: Corpus) -> None:
    few = BibleConfig(verses=1600).load(None)
    assert list(few.documents) == list(corpus.documents[:1600])
    assert few.groups is not None
    assert set(few.groups) == {"Genesis", "Exodus"}
    assert few.notes == ("the first 1,600 of 31,102 verses",)


def test_all_verses_leave_no_trace_in_the_config() -> None:
    assert BibleConfig().to_dict() == {"kind": "bible", "book_name": False}


@pytest.mark.parametrize(
    ("lost", "whole"),
    [
        ("my brother' keeper", "my brother's keeper"),
        ("their fathers'houses", "their fathers' houses"),
        ("is the LORD'.", "is the LORD's."),
        ("an ass' head", "an ass's head"),
        ("Aaron' and his sons' it is", "Aaron's and his sons' it is"),
    ],
)
def test_repair_restores_what_was_lost(lost: str, whole: str) -> None:
    assert bible.repair_possessives(lost) == whole


def test_the_name_of_the_book_can_stand_in_front() -> None:
    named = BibleConfig(book_name=True).load(None)
    assert named.documents[0] == b"Genesis: In the beginning God created the heaven and the earth."
    assert named.documents[-1].startswith(b"Revelation: ")


def test_another_text_in_the_package_is_refused_with_the_version_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bible, "repair_possessives", lambda text: text)
    with pytest.raises(DataError, match=rf"holds another text.*{re.escape(write_install_line('pythonbible-akjv==0.0.2'))}"):
        BibleConfig().load(None)


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bible, "PACKAGE", "no-such-package-anywhere")
    with pytest.raises(DataError, match=r"not installed; run: .*pip install"):
        BibleConfig().version(None)
