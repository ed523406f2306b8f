"""A survey counts what plain Python counts, and tokens are those of a prepared text."""

import statistics
from collections import Counter
from pathlib import Path

import pytest

from assay.data import survey as module
from assay.data import words
from assay.data.contiguous import ContiguousConfig
from assay.data.prepare import prepare
from assay.data.survey import count_tokens, survey, tokens_of
from assay.text.bpe import BpeConfig
from assay.text.byte import ByteConfig
from assay.text.corpus import Corpus
from assay.text.text_files import TextConfig

DOCUMENTS = [b"plain", "naïve — 熊 🙂 \u00bf\u0100".encode(), b"\xff\xe6\x97", "日本".encode() * 20, b"x"]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("separator", [b"\n", b""])
def test_figures_are_those_of_plain_python(monkeypatch: pytest.MonkeyPatch, size: int, separator: bytes) -> None:
    monkeypatch.setattr(module, "GATHERED", size)
    monkeypatch.setattr(words, "CHUNK", size + 8)
    found = survey(Corpus("x", DOCUMENTS, None, "", "", separator))
    raw = b"".join(document + separator for document in DOCUMENTS)
    assert found.histogram == tuple(Counter(raw)[byte] for byte in range(256))
    assert (found.bytes, found.distinct_bytes) == (len(raw), len(set(raw)))
    assert (found.documents, found.longest) == (5, 120)
    lengths = [*map(len, DOCUMENTS)]
    assert (found.mean_length, found.median_length) == (statistics.mean(lengths), statistics.median(lengths))
    assert found.not_utf8 == 3
    assert found.characters == sum(byte & 0xC0 != 0x80 for byte in raw)
    valid = "".join(document.decode("utf-8", "ignore") for document in DOCUMENTS) + separator.decode()
    assert found.distinct_characters == len(set(valid))


def test_tokens_are_those_of_a_prepared_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "DOCUMENTS", 3)
    (tmp_path / "text.txt").write_text("".join(f"line {number} is a line\n" for number in range(80)))
    corpus, split, bpe = TextConfig(path=str(tmp_path / "text.txt")), ContiguousConfig(validation=0.2), BpeConfig(vocabulary=270)
    own = tokens_of(prepare(corpus, split, bpe))
    plain = prepare(corpus, split, ByteConfig())
    assert count_tokens(plain, bpe) == own
    assert own.total == sum(own.counts.values())
    assert tokens_of(plain).bytes_per_token("train", "validation", "test") == 1
    assert own.bytes_per_token("validation") == own.bytes["validation"] / own.counts["validation"] > 1
    monkeypatch.setattr(BpeConfig, "train", None)
    assert count_tokens(plain, bpe) == own
