"""Batches: every token is a target once an epoch, rows are a pure function of the step, shares join to the whole."""

from pathlib import Path

import numpy as np
import pytest
import torch

from assay.core.config import FAMILIES
from assay.core.types import Batch
from assay.data.batches import Batches, shard_batch
from assay.data.documents import DocumentsConfig
from assay.data.joined_documents import StreamsConfig, WindowBatches, WindowsConfig
from assay.errors import ConfigError, DataError
from assay.text.piece_tokenizers import ByteTokenizer
from assay.text.token_files import TokenizedPart, read_part, write_part

END = ByteTokenizer().end_id
LENGTHS = [3, 0, 11, 1, 7, 0, 25, 4, 4, 13]


def part_of(tmp_path: Path, documents: list[bytes]) -> TokenizedPart:
    return read_part(tmp_path, "train", write_part(tmp_path, "train", documents, None, ByteTokenizer()))


@pytest.fixture
def part(tmp_path: Path) -> TokenizedPart:
    """Documents whose bytes are all different, so that each token tells its place: N = 78 with the end tokens."""
    places = iter(range(250))
    return part_of(tmp_path, [bytes(next(places) for _ in range(length)) for length in LENGTHS])


def build(part: TokenizedPart, window: int = 5, size: int = 3, seed: int = 1, document_mask: bool = False) -> WindowBatches:
    config = WindowsConfig(window=window, size=size, document_mask=document_mask)
    batches = config.build(part, END, seed, "prepared")
    assert isinstance(batches, WindowBatches)
    return batches


def epoch_rows(batches: Batches, epoch: int = 0) -> list[Batch]:
    return [batches.batch_at(step) for step in range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)]


def in_text_order(batches: WindowBatches) -> tuple[np.ndarray, np.ndarray]:
    """tokens [R, T+1] and weight [R, T] of all rows of the first epoch, in the order of its joined text."""
    rows = epoch_rows(batches)
    back = np.argsort(batches._row_order(0))
    return np.concatenate([each.tokens for each in rows])[back], np.concatenate([each.weight for each in rows])[back]


def targets(rows: list[Batch]) -> list[int]:
    return [int(token) for each in rows for token in each.tokens[:, 1:][each.weight > 0]]


def shapes() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("window", "batch"), [(1, 1), (5, 3), (13, 2), (6, 13), (78, 1), (200, 4)])


@shapes()
def test_every_token_is_a_target_exactly_once_an_epoch(part: TokenizedPart, window: int, batch: int) -> None:
    batches = build(part, window, batch)
    for epoch in range(3):
        assert sorted(targets(epoch_rows(batches, epoch))) == sorted(part.tokens.tolist())


@shapes()
def test_the_rows_are_cut_from_the_documents_in_a_shuffled_order(part: TokenizedPart, window: int, batch: int) -> None:
    tokens, weight = in_text_order(build(part, window, batch))
    documents = sorted(part.document(index).tolist() for index in range(part.document_count))
    found: list[list[int]] = [[]]
    for token in tokens[:, 1:][weight > 0].tolist():
        found[-1].append(token)
        if token == END:
            found.append([])
    assert found.pop() == []
    assert sorted(found) == documents


@shapes()
def test_the_input_is_the_target_before_and_the_text_begins_with_the_end_token(part: TokenizedPart, window: int, batch: int) -> None:
    tokens, weight = in_text_order(build(part, window, batch))
    before = tokens[:, :-1][weight > 0].tolist()
    assert before == [END, *tokens[:, 1:][weight > 0].tolist()[:-1]]


@shapes()
def test_padding_is_only_at_the_end_of_the_text(part: TokenizedPart, window: int, batch: int) -> None:
    tokens, weight = in_text_order(build(part, window, batch))
    assert weight.sum() == part.target_count
    assert (np.diff(weight.ravel()) <= 0).all()
    padded = tokens[:, 1:][weight == 0]
    assert (padded == END).all()
    assert len(padded) < window


def test_the_last_partial_batch_is_kept(part: TokenizedPart) -> None:
    batches = build(part, window=5, size=3)  # 16 rows, one of 3 targets
    rows = epoch_rows(batches)
    assert [len(each.tokens) for each in rows] == [3, 3, 3, 3, 3, 1]
    assert sum(each.targets for each in rows) == 78.0
    assert (batches.steps_per_epoch, batches.targets_per_epoch) == (6, 78)


def test_the_rows_of_one_long_document_are_not_read_from_front_to_back(tmp_path: Path) -> None:
    batches = build(part_of(tmp_path, [bytes(range(200))]), window=5, size=4)
    first = [[int(row[1]) for each in epoch_rows(batches, epoch) for row in each.tokens] for epoch in range(2)]
    assert sorted(first[0]) == sorted(first[1]) == [*range(0, 200, 5), END]
    assert first[0] != first[1] != sorted(first[1])


def test_rows_do_not_depend_on_which_were_asked_for_before(part: TokenizedPart) -> None:
    forward = build(part)
    backward = build(part)
    steps = list(range(4 * forward.steps_per_epoch))
    there = {step: forward.batch_at(step).tokens for step in steps}
    back = {step: backward.batch_at(step).tokens for step in reversed(steps)}
    assert all((there[step] == back[step]).all() for step in steps)
    assert (forward.batch_at(0).tokens == there[0]).all()


def test_epochs_and_seeds_have_different_orders(part: TokenizedPart) -> None:
    batches = build(part)
    assert targets(epoch_rows(batches, 0)) != targets(epoch_rows(batches, 1))
    assert targets(epoch_rows(batches, 0)) != targets(epoch_rows(build(part, seed=2), 0))


def test_the_batch_size_does_not_change_the_text(part: TokenizedPart) -> None:
    one, other = (in_text_order(build(part, window, batch)) for window, batch in ((5, 1), (9, 7)))
    assert one[0][:, 1:][one[1] > 0].tolist() == other[0][:, 1:][other[1] > 0].tolist()


def test_every_row_is_fresh(part: TokenizedPart) -> None:
    assert all(each.resets_state.all() and each.resets_state.shape == (len(each.tokens),) for each in epoch_rows(build(part)))


def test_document_indices_follow_the_target_and_the_end_token_before_it(part: TokenizedPart) -> None:
    for each in epoch_rows(build(part, window=9, size=2, document_mask=True)):
        assert each.documents is not None
        assert (each.documents[:, 0] == 0).all()
        closes = (each.tokens[:, 1:-1] == END) & (each.weight[:, 1:] > 0)  # an input in the row that ends a document
        assert (each.documents.diff(dim=1) == closes).all()


def test_without_a_mask_there_are_no_document_indices(part: TokenizedPart) -> None:
    assert build(part).batch_at(0).documents is None


def test_the_mask_changes_nothing_but_the_document_indices(part: TokenizedPart) -> None:
    assert (build(part).batch_at(1).tokens == build(part, document_mask=True).batch_at(1).tokens).all()


@pytest.mark.parametrize(("world", "micro"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 4)])
def test_the_shares_joined_are_the_global_batch(part: TokenizedPart, world: int, micro: int) -> None:
    batches = build(part, window=5, size=7, document_mask=True)
    for rows in epoch_rows(batches):
        batches = [batch for rank in range(world) for batch in shard_batch(rows, rank, world, micro)]
        assert len(batches) == world * micro
        real = [batch for batch in batches if batch.weight.any()]
        assert torch.equal(torch.cat([batch.tokens for batch in real]), rows.tokens)
        assert torch.equal(torch.cat([batch.weight for batch in real]), rows.weight)
        assert rows.documents is not None
        assert torch.equal(torch.cat([batch.documents for batch in real if batch.documents is not None]), rows.documents)
        assert sum(float(batch.weight.sum()) for batch in batches) == rows.targets


def test_a_rank_without_rows_gets_one_row_of_weight_0(part: TokenizedPart) -> None:
    rows = build(part, window=5, size=2).batch_at(0)
    empty = shard_batch(rows, rank=3, world_size=4, micro_batches=1)[0]
    assert empty.tokens.shape == (1, 6)
    assert empty.weight.sum() == 0
    assert empty.resets_state.all()
    assert rows.row_count == 2
    assert rows.weight.sum() == 10


def test_batches_have_the_declared_types(part: TokenizedPart) -> None:
    batch = shard_batch(build(part, document_mask=True).batch_at(0), 0, 1, 1)[0]
    assert batch.documents is not None
    assert [batch.tokens.dtype, batch.weight.dtype, batch.documents.dtype, batch.resets_state.dtype] == [
        torch.int64,
        torch.float32,
        torch.int64,
        torch.bool,
    ]


def test_the_fingerprint_changes_with_everything_that_orders_the_data(part: TokenizedPart, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = part_of(tmp_path / "other", [b"other"])
    config = WindowsConfig(window=5, size=3)
    prints = {
        build(part).fingerprint,
        build(part, window=6).fingerprint,
        build(part, size=4).fingerprint,
        build(part, seed=2).fingerprint,
        build(part, document_mask=True).fingerprint,
        build(other).fingerprint,
        config.build(part, END, 1, "another text").fingerprint,
    }
    assert len(prints) == 7
    assert build(part).fingerprint == build(part).fingerprint


def test_epochs_are_counted_in_fractions(part: TokenizedPart) -> None:
    batches = build(part)
    assert batches.epoch_at(0) == 0.0
    assert batches.epoch_at(9) == 1.5


def test_an_empty_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"batches: .* is empty"):
        build(part_of(tmp_path, []))


def test_a_window_of_no_targets_is_refused() -> None:
    with pytest.raises(ConfigError, match="window"):
        WindowsConfig.make({"window": 0})


KINDS = {"windows": WindowsConfig, "streams": StreamsConfig, "documents": DocumentsConfig}


def test_the_tests_cover_every_kind() -> None:
    assert FAMILIES["batches"].kinds == KINDS


@pytest.mark.parametrize("kind", KINDS)
@shapes()
def test_in_every_kind_each_token_has_weight_1_once_an_epoch(part: TokenizedPart, kind: str, window: int, batch: int) -> None:
    batches = KINDS[kind](window=window, size=batch).build(part, END, 1, "prepared")
    assert batches.targets_per_epoch == part.target_count
    for epoch in range(3):
        rows = epoch_rows(batches, epoch)
        assert sorted(targets(rows)) == sorted(part.tokens.tolist())
        assert sum(each.targets for each in rows) == part.target_count
        assert all(set(np.unique(each.weight)) <= {0.0, 1.0} for each in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_in_every_kind_the_rows_are_a_function_of_the_step(part: TokenizedPart, kind: str) -> None:
    config = KINDS[kind](window=5, size=3)
    one, other = (config.build(part, END, 1, "prepared") for _ in range(2))
    steps = range(3 * one.steps_per_epoch)
    there = {step: one.batch_at(step) for step in steps}
    back = {step: other.batch_at(step) for step in reversed(steps)}
    assert all(
        (there[step].tokens == back[step].tokens).all() and (there[step].resets_state == back[step].resets_state).all() for step in steps
    )
    assert one.fingerprint == other.fingerprint != config.build(part, END, 2, "prepared").fingerprint
    assert targets([there[step] for step in range(one.steps_per_epoch)]) != targets(epoch_rows(one, 1))


def test_a_contiguous_text_keeps_its_order_from_another_document_each_epoch(tmp_path: Path) -> None:
    documents = [bytes(range(start, start + 7)) for start in range(0, 70, 7)]
    part = read_part(tmp_path, "train", write_part(tmp_path, "train", documents, None, ByteTokenizer(), b""))
    assert (part.target_count, part.byte_count, part.has_end_tokens) == (70, 70, False)
    batches = build(part, window=10, size=7)
    begins = []
    for epoch in range(6):
        order, _ = batches.joined.order(epoch)
        begins.append(int(order[0]))
        assert order.tolist() == [(order[0] + index) % 10 for index in range(10)]
        assert sorted(targets(epoch_rows(batches, epoch))) == list(range(70))
    assert len(set(begins)) > 1
