"""Units: the same for every tokenizer and model, and their sums are the score."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evaluation.measure import Record
from assay.evaluation.reading import document_of
from assay.evaluation.targets import Targets
from assay.evaluation.units import FEW_DOCUMENTS, GRAIN, unit_arrays, unit_facts
from assay.evaluation.windows import Windows
from assay.text.bpe import BpeConfig
from assay.text.byte import ByteTokenizer
from assay.text.store import Part
from assay.text.tokenizer import Tokenizer
from support.texts import TOKENIZER, decoder, part_of, scorer

MANY = [f"{number} — naïve: {number * number} was it" for number in range(FEW_DOCUMENTS + 3)]
LONG = ["In the beginning was the wörd, and the word was long. " * 180, "the end"]


def targets_of(documents: list[str], tokenizer: Tokenizer, groups: list[int] | None = None) -> Targets:
    """Targets of which target i took i nats, every third at the first place."""
    pieces = [piece.encode() for piece in documents]
    ids = [[*encoded.tolist(), tokenizer.end] for encoded in tokenizer.encode(pieces)]
    tokens = np.array([token for document in ids for token in document])
    offsets = np.cumsum([0, *map(len, ids)])
    part = Part(tokens, offsets, np.array([len(piece) + 1 for piece in pieces]), None if groups is None else np.array(groups), "")
    record = Record.empty(len(tokens))
    record.times[:] = 1
    record.nats[:] = np.arange(len(tokens))
    record.place[:] = np.arange(len(tokens)) % 3 * 4
    return Targets(Windows(part, tokenizer.end, 16, 16, False), tokenizer, record)


def bpe(documents: list[str]) -> Tokenizer:
    return BpeConfig(vocabulary=300).train([document.encode() for document in documents])


@pytest.mark.parametrize(("documents", "kind", "count"), [(MANY, "documents", len(MANY)), (LONG, "grains", 3)])
def test_units_belong_to_the_text_and_not_to_the_tokenizer(documents: list[str], kind: str, count: int) -> None:
    found = [targets_of(documents, tokenizer) for tokenizer in (ByteTokenizer(), bpe(documents))]
    assert found[0].part.target_count != found[1].part.target_count
    raw = "".join(document + "\n" for document in documents).encode()
    facts = {"kind": kind, "count": count, "bytes_sha256": hashlib.sha256(raw).hexdigest()}
    assert [unit_facts(targets) for targets in found] == [facts, facts]
    one, other = map(unit_arrays, found)
    assert one.keys() == {"bytes", "characters", "words", "tokens", "bits", "top1", "top5", "group"}
    for name in ("bytes", "characters", "words", "group"):
        assert one[name].tolist() == other[name].tolist()
        assert one[name].dtype == np.int64


@pytest.mark.parametrize("documents", [MANY, LONG])
@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), None])
def test_units_add_up_to_the_text_and_the_score(documents: list[str], tokenizer: Tokenizer | None) -> None:
    targets = targets_of(documents, tokenizer or bpe(documents))
    units, raw, count = unit_arrays(targets), "".join(document + "\n" for document in documents), targets.part.target_count
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
    units, owner = unit_arrays(targets), document_of(targets.part, np.arange(targets.part.target_count))
    assert units["bytes"].tolist() == [len(document.encode()) + 1 for document in MANY]
    assert units["words"].tolist() == [len(document.split()) for document in MANY]
    assert units["bits"].tolist() == pytest.approx(np.bincount(owner, targets.bits).tolist())
    assert units["group"].tolist() == [number % 4 for number in range(len(MANY))]


def test_a_token_belongs_to_the_grain_in_which_its_first_byte_lies() -> None:
    targets = targets_of(LONG, bpe(LONG))
    units = unit_arrays(targets)
    assert units["bytes"].tolist() == [GRAIN, GRAIN, targets.part.bytes - 2 * GRAIN]
    grain = targets.starts // GRAIN
    assert (grain != (targets.starts + targets.sizes - 1) // GRAIN).any()  # some tokens lie across an edge
    assert units["tokens"].tolist() == np.bincount(grain).tolist()
    assert units["bits"].tolist() == pytest.approx(np.bincount(grain, targets.bits).tolist())


@given(st.lists(st.text("aé \t\n0.", max_size=12), min_size=1, max_size=45))
def test_words_and_characters_are_counted_once(documents: list[str]) -> None:
    targets = targets_of(documents, ByteTokenizer())
    raw = "".join(document + "\n" for document in documents)
    assert unit_arrays(targets)["words"].sum() == targets.words.sum() == len(raw.encode().split())
    assert targets.characters.sum() == len(raw)


def test_the_bytes_behind_the_tokens_are_the_raw_text() -> None:
    for documents in (MANY, LONG):
        targets = targets_of(documents, bpe(documents))
        assert targets.raw == "".join(document + "\n" for document in documents).encode()


def test_a_score_has_the_units_of_its_text() -> None:
    part = part_of(MANY)
    score = scorer(part, 16, 5).score(decoder())
    units = unit_arrays(score.targets)
    assert units["bits"].sum() * math.log(2) == pytest.approx(score.nats)
    assert units["tokens"].tolist() == np.diff(part.offsets).tolist()
    assert score.targets.tokenizer is TOKENIZER
