"""A survey counts what plain Python counts, and tokens are those of a prepared text."""

import statistics
from collections import Counter
from pathlib import Path

import pytest

from assay.data import corpus_statistics as module
from assay.data.corpus_statistics import measure_own_tokenizer, measure_text, train_and_count_tokens
from assay.data.prepare import prepare_text
from assay.data.split import ContiguousConfig
from assay.text import tokenizer
from assay.text.bpe import BpeConfig
from assay.text.corpus import Corpus
from assay.text.piece_tokenizers import ByteConfig
from assay.text.text_files import TextConfig

DOCUMENTS = [b"plain", "naïve — 熊 🙂 \u00bf\u0100".encode(), b"\xff\xe6\x97", "日本".encode() * 20, b"x"]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("separator", [b"\n", b""])
def test_figures_are_those_of_plain_python(monkeypatch: pytest.MonkeyPatch, size: int, separator: bytes) -> None:
    monkeypatch.setattr(module, "GATHERED", size)
    monkeypatch.setattr("assay.data.word_hashes.CHUNK", size + 8)
    found = measure_text(Corpus("x", DOCUMENTS, None, "", "", separator))
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
    monkeypatch.setattr(tokenizer, "ENCODED", 3)
    (tmp_path / "text.txt").write_text("".join(f"line {number} is a line\n" for number in range(80)))
    corpus, split, bpe = TextConfig(path=str(tmp_path / "text.txt")), ContiguousConfig(validation=0.2), BpeConfig(vocabulary=270)
    own = measure_own_tokenizer(prepare_text(corpus, split, bpe))
    plain = prepare_text(corpus, split, ByteConfig())
    assert train_and_count_tokens(plain, bpe) == own
    assert own.total_tokens == sum(own.counts.values())
    assert measure_own_tokenizer(plain).bytes_per_token("train", "validation", "test") == 1
    assert own.bytes_per_token("validation") == own.bytes["validation"] / own.counts["validation"] > 1
    monkeypatch.setattr(BpeConfig, "train", None)
    assert train_and_count_tokens(plain, bpe) == own
