"""Units: the same for every tokenizer and model, and their sums are the score."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evaluation.measure import TokenRecord
from assay.evaluation.readers import WindowReader, find_documents
from assay.evaluation.targets import CHUNK_BYTES, MIN_DOCUMENTS, ScoredTargets, describe_units, measure_units
from assay.text.bpe import BpeConfig
from assay.text.piece_tokenizers import ByteTokenizer
from assay.text.token_files import TokenizedPart
from assay.text.tokenizer import Tokenizer
from support.texts import TOKENIZER, decoder, part_of, scorer

MANY = [f"{number} — naïve: {number * number} was it" for number in range(MIN_DOCUMENTS + 3)]
LONG = ["In the beginning was the wörd, and the word was long. " * 180, "the end"]


def targets_of(documents: list[str], tokenizer: Tokenizer, groups: list[int] | None = None) -> ScoredTargets:
    """Targets of which target i took i nats, every third at the first place."""
    pieces = [piece.encode() for piece in documents]
    ids = [[*encoded.tolist(), tokenizer.end_id] for encoded in tokenizer.encode(pieces)]
    tokens = np.array([token for document in ids for token in document])
    offsets = np.cumsum([0, *map(len, ids)])
    part = TokenizedPart(tokens, offsets, np.array([len(piece) + 1 for piece in pieces]), None if groups is None else np.array(groups), "")
    record = TokenRecord.empty(len(tokens))
    record.times_scored[:] = 1
    record.nats[:] = np.arange(len(tokens))
    record.rank[:] = np.arange(len(tokens)) % 3 * 4
    return ScoredTargets(WindowReader(part, tokenizer.end_id, 16, 16, False), tokenizer, record)


def bpe(documents: list[str]) -> Tokenizer:
    return BpeConfig(vocabulary=300).train([document.encode() for document in documents])


@pytest.mark.parametrize(("documents", "kind", "count"), [(MANY, "documents", len(MANY)), (LONG, "chunks", 3)])
def test_units_belong_to_the_text_and_not_to_the_tokenizer(documents: list[str], kind: str, count: int) -> None:
    found = [targets_of(documents, tokenizer) for tokenizer in (ByteTokenizer(), bpe(documents))]
    assert found[0].part.target_count != found[1].part.target_count
    raw = "".join(document + "\n" for document in documents).encode()
    facts = {"kind": kind, "count": count, "bytes_sha256": hashlib.sha256(raw).hexdigest()}
    assert [describe_units(targets) for targets in found] == [facts, facts]
    one, other = map(measure_units, found)
    assert one.keys() == {"bytes", "characters", "words", "tokens", "bits", "top1", "top5", "group"}
    for name in ("bytes", "characters", "words", "group"):
        assert one[name].tolist() == other[name].tolist()
        assert one[name].dtype == np.int64


@pytest.mark.parametrize("documents", [MANY, LONG])
@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), None])
def test_units_add_up_to_the_text_and_the_score(documents: list[str], tokenizer: Tokenizer | None) -> None:
    targets = targets_of(documents, tokenizer or bpe(documents))
    units, raw, count = measure_units(targets), "".join(document + "\n" for document in documents), targets.part.target_count
    assert units["bytes"].sum() == len(raw.encode())
    assert units["characters"].sum() == len(raw)
    assert units["words"].sum() == len(raw.encode().split())
    assert units["tokens"].sum() == count
    assert units["bits"].sum() == pytest.approx(count * (count - 1) / 2 / math.log(2))
    assert units["top1"].sum() == -(-count // 3)
    assert units["top5"].sum() == -(-count // 3) + (count + 1) // 3
    assert units["words"].sum() == targets.words.sum()
    assert (units["group"] == -1).all()


def test_documents_are_units_with_their_newline_and_their_group() -> None:
    targets = targets_of(MANY, bpe(MANY), groups=[number % 4 for number in range(len(MANY))])
    units, owner = measure_units(targets), find_documents(targets.part, np.arange(targets.part.target_count))
    assert units["bytes"].tolist() == [len(document.encode()) + 1 for document in MANY]
    assert units["words"].tolist() == [len(document.split()) for document in MANY]
    assert units["bits"].tolist() == pytest.approx(np.bincount(owner, targets.bits).tolist())
    assert units["group"].tolist() == [number % 4 for number in range(len(MANY))]


def test_a_token_belongs_to_the_chunk_in_which_its_first_byte_lies() -> None:
    targets = targets_of(LONG, bpe(LONG))
    units = measure_units(targets)
    assert units["bytes"].tolist() == [CHUNK_BYTES, CHUNK_BYTES, targets.part.byte_count - 2 * CHUNK_BYTES]
    chunk = targets.starts // CHUNK_BYTES
    assert (chunk != (targets.starts + targets.sizes - 1) // CHUNK_BYTES).any()  # some tokens lie across an edge
    assert units["tokens"].tolist() == np.bincount(chunk).tolist()
    assert units["bits"].tolist() == pytest.approx(np.bincount(chunk, targets.bits).tolist())


@given(st.lists(st.text("aé \t\n0.", max_size=12), min_size=1, max_size=45))
def test_words_and_characters_are_counted_once(documents: list[str]) -> None:
    targets = targets_of(documents, ByteTokenizer())
    raw = "".join(document + "\n" for document in documents)
    assert measure_units(targets)["words"].sum() == targets.words.sum() == len(raw.encode().split())
    assert targets.characters.sum() == len(raw)


def test_the_bytes_behind_the_tokens_are_the_raw_text() -> None:
    for documents in (MANY, LONG):
        targets = targets_of(documents, bpe(documents))
        assert targets.raw == "".join(document + "\n" for document in documents).encode()


def test_a_score_has_the_units_of_its_text() -> None:
    part = part_of(MANY)
    score = scorer(part, 16, 5).score(decoder())
    units = measure_units(score.targets)
    assert units["bits"].sum() * math.log(2) == pytest.approx(score.nats)
    assert units["tokens"].tolist() == np.diff(part.offsets).tolist()
    assert score.targets.tokenizer is TOKENIZER
