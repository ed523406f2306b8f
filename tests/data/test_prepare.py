"""Prepared texts: nothing lost, cached by everything they depend on, made again when damaged."""

import hashlib
import multiprocessing
from pathlib import Path

import pytest

from assay.core.trees import Tree
from assay.data.prepare import PreparedText, prepare_text
from assay.data.split import PARTS, ContiguousConfig, HashConfig, ShuffleConfig, SplitConfig
from assay.text.bpe import BpeConfig
from assay.text.corpus import Corpus, CorpusConfig
from assay.text.piece_tokenizers import ByteConfig
from assay.text.text_files import TextConfig
from assay.text.tokenizer import TokenizerConfig

LINES = [f"line {number} says: the answer is {number * number}".encode() for number in range(200)] + [b"\xff\x00"]


@pytest.fixture(autouse=True)
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "text.txt"
    file.write_bytes(b"\n".join(LINES) + b"\n")
    return file


def make(
    text: Path,
    split: SplitConfig | None = None,
    tokenizer: TokenizerConfig | None = None,
) -> PreparedText:
    return prepare_text(TextConfig(path=str(text)), split or ShuffleConfig(), tokenizer or ByteConfig())


def entries(text: Path) -> list[Path]:
    return sorted((text.parent / "cache" / "prepared").iterdir())


class Grouped(CorpusConfig):
    """Three books, for the test."""

    def load(self, data_dir: Path | None) -> Corpus:
        return Corpus("grouped", LINES[:60], [f"book {index // 20}" for index in range(60)], "none", "here")

    def version(self, data_dir: Path | None) -> str:
        return "1"


class Joined(CorpusConfig):
    """A contiguous text, for the test."""

    def load(self, data_dir: Path | None) -> Corpus:
        return Corpus("joined", LINES, None, "none", "here", separator=b"")

    def version(self, data_dir: Path | None) -> str:
        return "1"


def test_a_contiguous_text_is_given_back_without_newlines() -> None:
    prepared = prepare_text(Joined(), ContiguousConfig(validation=0.2, test=0.1, exact=True), ByteConfig())
    assert b"".join(prepared.raw_text(part) for part in PARTS) == b"".join(LINES)
    assert all(b"".join(prepared.documents(part)) == prepared.raw_text(part) for part in PARTS)
    assert prepared.parts["validation"].document_count == len(list(prepared.documents("validation"))) > 1


@pytest.mark.parametrize("tokenizer", [ByteConfig(), BpeConfig(vocabulary=280)], ids=["byte", "bpe"])
def test_the_text_of_the_parts_is_the_text_of_the_corpus(text: Path, tokenizer: TokenizerConfig) -> None:
    prepared = make(text, tokenizer=tokenizer)
    assert sorted(document for part in PARTS for document in prepared.documents(part)) == sorted(LINES)


@pytest.mark.parametrize("tokenizer", [ByteConfig(), BpeConfig(vocabulary=280)], ids=["byte", "bpe"])
def test_every_byte_is_accounted_for(text: Path, tokenizer: TokenizerConfig) -> None:
    prepared = make(text, tokenizer=tokenizer)
    for part in prepared.parts.values():
        assert prepared.tokenizer.byte_lengths[part.tokens].sum() == part.byte_count
        assert part.target_count == len(part.tokens) == part.offsets[-1]
        assert (part.tokens[part.offsets[1:] - 1] == prepared.tokenizer.end_id).all()
        assert (part.tokens == prepared.tokenizer.end_id).sum() == part.document_count
    assert sum(part.byte_count for part in prepared.parts.values()) == prepared.corpus.bytes == text.stat().st_size
    assert sum(part.document_count for part in prepared.parts.values()) == prepared.corpus.documents == len(LINES)


def test_hashes_are_of_the_raw_text(text: Path) -> None:
    prepared = make(text)
    assert prepared.corpus.sha256 == hashlib.sha256(text.read_bytes()).hexdigest()
    for name, part in prepared.parts.items():
        raw = b"".join(document + b"\n" for document in prepared.documents(name))
        assert part.sha256 == hashlib.sha256(raw).hexdigest()


def test_the_tokenizer_is_trained_on_the_training_part_only(text: Path) -> None:
    config = BpeConfig(vocabulary=280)
    prepared = make(text, tokenizer=config)
    assert prepared.tokenizer.digest == config.train(list(prepared.documents("train"))).digest
    assert prepared.tokenizer.digest != config.train(LINES).digest


def test_a_second_call_reads_the_cache_and_not_the_text(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(text, tokenizer=BpeConfig(vocabulary=280))
    monkeypatch.setattr(TextConfig, "load", None)
    monkeypatch.setattr(BpeConfig, "train", None)
    second = make(text, tokenizer=BpeConfig(vocabulary=280))
    assert second.fingerprint == first.fingerprint
    assert second.corpus == first.corpus
    assert second.tokenizer.digest == first.tokenizer.digest
    assert all((second.parts[part].tokens == first.parts[part].tokens).all() for part in PARTS)
    assert len(entries(text)) == 1


def test_the_cache_is_keyed_by_text_split_and_tokenizer(text: Path) -> None:
    prints = {
        make(text).fingerprint,
        make(text, split=HashConfig()).fingerprint,
        make(text, split=ShuffleConfig(seed=1)).fingerprint,
        make(text, tokenizer=BpeConfig(vocabulary=270)).fingerprint,
    }
    text.write_bytes(text.read_bytes() + b"one more line\n")
    prints.add(make(text).fingerprint)
    assert len(prints) == len(entries(text)) == 5


def test_the_fingerprint_is_of_content_not_of_names(text: Path) -> None:
    elsewhere = text.with_name("elsewhere.txt")
    elsewhere.write_bytes(text.read_bytes())
    assert make(elsewhere).fingerprint == make(text).fingerprint


def test_a_truncated_cache_is_made_again(text: Path) -> None:
    first = make(text)
    whole = first.parts["train"].tokens.tolist()
    (entry,) = entries(text)
    tokens = entry / "train.tokens"
    tokens.write_bytes(tokens.read_bytes()[:-10])
    assert make(text).parts["train"].tokens.tolist() == whole
    assert entries(text) == [entry]


def test_a_cached_token_replaced_by_one_of_equal_length_is_not_read(text: Path) -> None:
    first = make(text)
    whole = first.parts["validation"].tokens.tolist()
    (entry,) = entries(text)
    tokens = entry / "validation.tokens"
    changed = bytearray(tokens.read_bytes())
    changed[0] ^= 1
    tokens.write_bytes(bytes(changed))
    assert make(text).parts["validation"].tokens.tolist() == whole


def test_groups_follow_their_documents() -> None:
    prepared = prepare_text(Grouped(), ShuffleConfig(validation=0.3, test=0.3), ByteConfig())
    assert prepared.corpus.groups == ("book 0", "book 1", "book 2")
    for name, part in prepared.parts.items():
        assert part.groups is not None
        assert [LINES.index(document) // 20 for document in prepared.documents(name)] == part.groups.tolist()


def test_a_text_without_groups_has_none(text: Path) -> None:
    assert make(text).parts["train"].groups is None


def test_a_split_without_a_test_part_has_an_empty_one(text: Path) -> None:
    part = make(text, split=ShuffleConfig(test=0.0)).parts["test"]
    assert (part.document_count, part.byte_count, part.target_count) == (0, 0, 0)


def use(text: Path, results: "multiprocessing.SimpleQueue[Tree]") -> None:
    prepared = make(text, tokenizer=BpeConfig(vocabulary=280))
    results.put({"fingerprint": prepared.fingerprint, "tokens": prepared.parts["train"].tokens.tolist()})


@pytest.mark.slow
def test_two_processes_may_prepare_the_same_text_at_once(text: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    processes = [context.Process(target=use, args=(text, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    assert found[0] == found[1]
    assert len(entries(text)) == 1
