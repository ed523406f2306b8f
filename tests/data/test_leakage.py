"""Leakage: what is found is what a slow look finds, it is measured once, and much of it is said in words."""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from assay.data import leakage
from assay.data.leakage import NGRAM_WORDS, Leakage, Overlap, measure_leakage
from assay.data.prepare import PreparedText, prepare_text
from assay.data.split import ContiguousConfig, HashConfig, PartName, SplitConfig
from assay.text.piece_tokenizers import ByteConfig, WordConfig
from assay.text.text_files import TextConfig
from assay.text.tokenizer import TokenizerConfig

NONE = Overlap(0, 0, 0, 0, 0)
LONG = b"one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"


def of(train: list[bytes], validation: list[bytes], test: list[bytes] | None = None) -> Leakage:
    return measure_leakage({"train": train, "validation": validation, "test": test or []})


def test_equal_documents_and_those_of_the_same_words_are_counted() -> None:
    found = of([b"a b", b"C d", b"a b", b"?", "Übung!".encode()], [b"a b", b"A, b.", b"c  D", b"a b c", b"?", b"!", "übung".encode()])
    assert found.validation == Overlap(documents=7, exact_duplicates=2, near_duplicates=5, ngrams=0, leaked_ngrams=0)
    assert (found.training_documents, found.training_exact_duplicates, found.training_near_duplicates) == (5, 1, 1)
    assert found.test == NONE


def test_documents_without_words_are_alike_only_if_they_are_equal() -> None:
    found = of([b"...", b"...", b"!!!"], [b"...", b"???"])
    assert (found.validation.exact_duplicates, found.validation.near_duplicates) == (1, 1)
    assert (found.training_exact_duplicates, found.training_near_duplicates) == (1, 1)


def test_runs_are_of_thirteen_words() -> None:
    words = LONG.split()
    found = of([LONG], [b" ".join(words[:12]), b" ".join(words[:13]).upper(), b"x " + b", ".join(words[1:15]), b"other " * 20])
    assert found.validation.ngrams == 0 + 1 + 3 + 8
    assert found.validation.leaked_ngrams == 1 + 2


def slow_runs(documents: list[bytes]) -> list[tuple[str, ...]]:
    found = []
    for document in documents:
        words = re.findall(r"[^\W_]+", document.decode().lower())
        found += [tuple(words[start : start + NGRAM_WORDS]) for start in range(len(words) - NGRAM_WORDS + 1)]
    return found


def test_shares_are_those_of_a_slow_look() -> None:
    draw = random.Random(0)
    phrases = [" ".join(draw.choices(["the", "of", "and", "to", "in", "Día", "7", "naïve"], k=draw.randrange(5, 20))) for _ in range(60)]
    texts: list[list[bytes]] = [[". ".join(draw.choices(phrases, k=3)).encode() for _ in range(count)] for count in (50, 30, 20)]
    found = of(*texts)
    known = set(slow_runs(texts[0]))
    for part, documents in ((found.validation, texts[1]), (found.test, texts[2])):
        runs = slow_runs(documents)
        assert 0 < sum(run in known for run in runs) < len(runs)
        assert (part.ngrams, part.leaked_ngrams) == (len(runs), sum(run in known for run in runs))
        assert part.ngram_share == part.leaked_ngrams / part.ngrams


def test_nothing_held_out_is_no_leak() -> None:
    found = of([b"a"], [], [])
    assert found.validation.exact_duplicate_share is found.validation.near_duplicate_share is found.validation.ngram_share is None
    assert found.warnings() == []


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "text.txt"
    file.write_bytes(b"".join(b"line %d\n" % (number % 50) for number in range(200)))
    return file


def make(text: Path, split: SplitConfig, tokenizer: TokenizerConfig | None = None) -> PreparedText:
    return prepare_text(TextConfig(path=str(text)), split, tokenizer or ByteConfig())


def test_a_split_by_place_leaks_repeated_documents_and_one_by_content_does_not(text: Path) -> None:
    by_place, by_content = (make(text, split).leakage for split in (ContiguousConfig(), HashConfig(validation=0.2, test=0.2)))
    assert by_place is not None
    assert by_content is not None
    assert by_place.validation.exact_duplicate_share == by_place.test.exact_duplicate_share == 1
    assert by_content.validation.exact_duplicates == by_content.test.exact_duplicates == 0
    warning, other = by_place.warnings()
    for word in ("100.0 % of the validation documents (10 of 10)", "use split=shuffle"):
        assert word in warning
    assert "of the test documents" in other
    assert by_content.warnings() == []


def test_it_is_measured_once_for_all_tokenizers_and_for_each_split_and_text(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(text, HashConfig())
    measured: list[int] = []

    def count(documents: dict[PartName, list[bytes]]) -> Leakage:
        measured.append(len(documents["train"]))
        return measure_leakage(documents)

    monkeypatch.setattr(leakage, "measure_leakage", count)
    assert make(text, HashConfig(), WordConfig(vocabulary=300)).leakage == first.leakage
    assert make(text, HashConfig()).leakage == first.leakage
    assert measured == []
    make(text, HashConfig(salt="other"))
    text.write_bytes(text.read_bytes() + b"more\n")
    assert make(text, HashConfig()).leakage != first.leakage
    assert len(measured) == 2


def test_it_survives_being_written() -> None:
    found = of([LONG], [LONG])
    assert Leakage.make(found.to_dict()) == found


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Overlap(1000, 10, 10, 0, 0), None),
        (Overlap(1000, 11, 11, 0, 0), "1.1 % of the validation documents (11 of 1,000) are also training documents, byte for byte"),
        (Overlap(1000, 0, 11, 0, 0), "but for case, punctuation and spacing"),
        (Overlap(1000, 0, 0, 100, 5), None),
        (Overlap(1000, 0, 0, 100, 6), "6.0 % of the runs of 13 words in validation (6 of 100)"),
    ],
)
def test_a_warning_begins_above_its_limit(part: Overlap, words: str | None) -> None:
    warnings = replace(of([], []), validation=part).warnings()
    if words is None:
        assert warnings == []
    else:
        (warning,) = warnings
        assert words in warning
        assert "remove repeated" in warning
