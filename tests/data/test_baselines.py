"""Baselines are of the raw text, measured once, and an interrupt leaves nothing behind."""

import lzma
import math
import random
from collections import Counter
from pathlib import Path
from threading import Event

import pytest

from assay.data import baselines as module
from assay.data.baselines import compute_baselines, compute_text_baselines, estimate_seconds, label_baselines, measure_xz_bytes
from assay.data.ngram import measure_ngram_bits
from assay.data.prepare import PreparedText, prepare_text
from assay.data.split import ContiguousConfig
from assay.text.bpe import BpeConfig
from assay.text.piece_tokenizers import ByteConfig
from assay.text.text_files import TextConfig
from assay.text.tokenizer import TokenizerConfig

LINES = [f"line {number} — the answer is {number * number}".encode() for number in range(300)]


@pytest.fixture(autouse=True)
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "text.txt"
    file.write_bytes(b"\n".join(LINES) + b"\n")
    return file


def make(text: Path, tokenizer: TokenizerConfig | None = None) -> PreparedText:
    return prepare_text(TextConfig(path=str(text)), ContiguousConfig(validation=0.2, test=0.1), tokenizer or ByteConfig())


def packed(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def test_they_are_of_the_raw_text_with_the_newlines_of_end_tokens(text: Path) -> None:
    prepared = make(text)
    training, validation = (b"".join(document + b"\n" for document in prepared.documents(part)) for part in ("train", "validation"))
    assert (len(training), len(validation)) == (prepared.parts["train"].byte_count, prepared.parts["validation"].byte_count)
    found = compute_baselines(prepared)
    counts, different = Counter(training), len(set(training))
    chances = [(counts[byte] + different / 256) / (len(training) + different) for byte in validation]
    assert found["uniform"] == 8
    assert found["unigram"] == pytest.approx(-sum(map(math.log2, chances)) / len(validation))
    assert found["xz"] == 8 * (packed(training + validation) - packed(training)) / len(validation)
    assert found["ngram"] == measure_ngram_bits(training, validation, 6)[6] / len(validation)


def test_they_do_not_depend_on_the_tokenizer_and_are_measured_once(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = make(text)
    assert estimate_seconds(prepared) > 0
    found = compute_baselines(prepared)
    monkeypatch.setattr(module, "compute_text_baselines", None)
    other = make(text, BpeConfig(vocabulary=280))
    assert estimate_seconds(other) == 0
    assert compute_baselines(other) == found
    with pytest.raises(TypeError):
        compute_baselines(other, "test")


def test_another_training_text_gives_others(text: Path) -> None:
    first = make(text)
    found = compute_baselines(first)
    text.write_bytes(text.read_bytes().replace(b"line 0 ", b"LINE 0 "))
    second = make(text)
    assert second.parts["validation"].sha256 == first.parts["validation"].sha256
    assert compute_baselines(second)["ngram"] != found["ngram"]


def test_the_training_text_itself_has_only_those_that_cannot_recite_it(text: Path) -> None:
    prepared = make(text)
    found = compute_baselines(prepared, "train")
    assert found.keys() == {"uniform", "unigram"}
    counts, size = Counter(prepared.raw_text("train")), prepared.parts["train"].byte_count
    entropy = -sum(count / size * math.log2(count / size) for count in counts.values())
    assert (
        entropy < found["unigram"] == pytest.approx(measure_ngram_bits(prepared.raw_text("train"), prepared.raw_text("train"), 0)[0] / size)
    )


def test_xz_reaches_back_over_the_whole_training_text() -> None:
    noise = random.Random(0).randbytes(1 << 16)
    assert measure_xz_bytes(noise + bytes(1 << 20), noise) < 200
    assert measure_xz_bytes(bytes(1 << 20), noise) > 1 << 16


def test_a_longer_training_text_counts_by_its_end(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = make(text)
    monkeypatch.setattr(module, "MAX_TRAINING_BYTES", 1000)
    assert compute_baselines(prepared) == compute_text_baselines(prepared.raw_text("train")[-1000:], prepared.raw_text("validation"))
    assert "the last 1,000 bytes of the training text" in label_baselines(1001)["xz"]
    assert "last" not in label_baselines(1000)["xz"]


def test_an_interrupt_is_not_waited_for_and_leaves_nothing_in_the_cache(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = make(text)
    asked: list[bool] = []

    def slow(texts: list[bytes], stop: Event) -> int:
        if len(texts) == 2:
            raise KeyboardInterrupt
        asked.append(stop.wait(timeout=60))
        return 0

    monkeypatch.setattr(module, "_compressed_size", slow)
    with pytest.raises(KeyboardInterrupt):
        compute_baselines(prepared)
    assert asked == [True]
    assert list((text.parent / "cache" / "baselines").iterdir()) == []


def test_packing_stops_when_asked() -> None:
    stop = Event()
    stop.set()
    assert module._compressed_size([b"x" * (1 << 20)], stop) == 0
