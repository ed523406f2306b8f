"""Documents: a row knows of one document only, and little of a batch is padding."""

from pathlib import Path

import numpy as np
import pytest

from assay.data.batches import Batches
from assay.data.documents import DocumentsConfig, cut_documents
from assay.text.piece_tokenizers import ByteTokenizer
from assay.text.token_files import TokenizedPart, read_part, write_part

END = ByteTokenizer().end_id
LENGTHS = [3, 0, 11, 1, 7, 0, 25, 4, 4, 13]


@pytest.fixture
def part(tmp_path: Path) -> TokenizedPart:
    """Documents whose bytes are all different, so that each token tells its place: N = 78 with the end tokens."""
    places = iter(range(250))
    documents = [bytes(next(places) for _ in range(length)) for length in LENGTHS]
    return read_part(tmp_path, "train", write_part(tmp_path, "train", documents, None, ByteTokenizer()))


def rows_of(batches: Batches, epoch: int = 0) -> list[tuple[int, list[int]]]:
    """The first input and the targets of every row of an epoch."""
    steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
    batches = [batches.batch_at(step) for step in steps]
    return [
        (int(tokens[0]), tokens[1:][weight > 0].tolist())
        for each in batches
        for tokens, weight in zip(each.tokens, each.weight, strict=True)
    ]


def test_a_row_is_a_document_after_an_end_token(part: TokenizedPart) -> None:
    batches = DocumentsConfig(window=26, size=3).build(part, END, 1, "")
    expected = sorted((END, part.document(index).tolist()) for index in range(part.document_count))
    assert sorted(rows_of(batches)) == expected
    assert sorted(rows_of(batches, 1)) == expected


def test_a_longer_document_is_cut_into_rows_that_begin_with_the_token_before(part: TokenizedPart) -> None:
    batches = DocumentsConfig(window=10, size=3).build(part, END, 1, "")
    document = part.document(6).tolist()  # 26 targets
    pieces = [(END, document[:10]), (document[9], document[10:20]), (document[19], document[20:])]
    found = rows_of(batches)
    assert all(piece in found for piece in pieces)
    assert len(found) == 10 + 2 + 1 + 1  # of 12 and 14 targets: one cut each


def test_padding_has_weight_0_and_is_the_end_token(part: TokenizedPart) -> None:
    batches = DocumentsConfig(window=26, size=4).build(part, END, 1, "")
    for step in range(batches.steps_per_epoch):
        rows = batches.batch_at(step)
        assert (rows.tokens[:, 1:][rows.weight == 0] == END).all()
        assert (rows.weight.diff(dim=1) <= 0).all()
        assert rows.weight[:, -1].any()  # no column is padding alone
        assert rows.weight[:, 0].all()
        assert rows.documents is None


def test_rows_of_similar_length_are_read_together(tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).integers(1, 200, 3000)
    documents = [b"x" * int(length) for length in lengths]
    part = read_part(tmp_path, "train", write_part(tmp_path, "train", documents, None, ByteTokenizer()))
    batches = DocumentsConfig(window=256, size=16).build(part, END, 1, "")
    weights = [batches.batch_at(step).weight for step in range(batches.steps_per_epoch)]
    padding = 1 - sum(weight.sum() for weight in weights) / sum(weight.numel() for weight in weights)
    assert padding < 0.06  # in batches at random it is 0.46
    longest = [weight.shape[1] for weight in weights]
    assert longest != sorted(longest)


def test_cutting_covers_every_target_once() -> None:
    begin, stop, first = cut_documents(np.array([0, 4, 5, 17, 17, 20]), 5)
    assert list(zip(begin.tolist(), stop.tolist(), first.tolist(), strict=True)) == [
        (0, 4, True), (4, 5, True), (5, 10, True), (10, 15, False), (15, 17, False), (17, 20, True),
    ]  # fmt: skip
