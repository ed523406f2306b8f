"""Streams: each row continues where the row before it in its stream stopped."""

from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest

from assay.data.batches import Batches
from assay.data.joined_documents import StreamsConfig
from assay.text.piece_tokenizers import ByteTokenizer
from assay.text.token_files import TokenizedPart, read_part, write_part

END = ByteTokenizer().end_id


@pytest.fixture
def part(tmp_path: Path) -> TokenizedPart:
    """N = 78."""
    places = iter(range(250))
    documents = [bytes(next(places) for _ in range(length)) for length in [3, 0, 11, 1, 7, 0, 25, 4, 4, 13]]
    return read_part(tmp_path, "train", write_part(tmp_path, "train", documents, None, ByteTokenizer()))


def streams(batches: Batches, epoch: int) -> list[list[int]]:
    """The targets of each stream of an epoch, in the order in which they are read."""
    steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
    found = [batches.batch_at(step) for step in steps]
    count = len(found[0].tokens)
    return [[int(t) for rows in found for t in rows.tokens[stream, 1:][rows.weight[stream] > 0]] for stream in range(count)]


@pytest.mark.parametrize(("window", "batch"), [(5, 3), (7, 4), (100, 2), (1, 1), (3, 78)])
def test_the_streams_joined_are_the_text(part: TokenizedPart, window: int, batch: int) -> None:
    batches = StreamsConfig(window=window, size=batch).build(part, END, 1, "")
    for epoch in range(2):
        found = streams(batches, epoch)
        assert max(map(len, found)) - min(map(len, found)) <= 1
        order = StreamsConfig(window=1, size=1).build(part, END, 1, "")
        assert list(chain(*found)) == streams(order, epoch)[0]


def test_the_input_of_a_row_begins_with_the_last_target_of_the_row_before(part: TokenizedPart) -> None:
    batches = StreamsConfig(window=5, size=4).build(part, END, 1, "")
    for epoch in range(2):
        rows = [batches.batch_at(epoch * batches.steps_per_epoch + step) for step in range(batches.steps_per_epoch)]
        for before, after in pairwise(rows):
            live = after.weight[:, 0] > 0
            assert (before.tokens[live, -1] == after.tokens[live, 0]).all()
        joined = np.array(list(chain(*streams(batches, epoch))))
        cuts = np.arange(4) * 78 // 4
        assert rows[0].tokens[:, 0].tolist() == [END, *joined[cuts[1:] - 1].tolist()]


def test_only_the_rows_of_an_epochs_first_step_are_fresh(part: TokenizedPart) -> None:
    batches = StreamsConfig(window=5, size=4).build(part, END, 1, "")
    assert batches.steps_per_epoch == 4
    assert [bool(batches.batch_at(step).resets_state.all()) for step in range(9)] == [True, *[False] * 3] * 2 + [True]
    assert not any(batches.batch_at(step).resets_state.any() for step in (1, 2, 3))


def test_streams_say_that_they_carry(part: TokenizedPart) -> None:
    config = StreamsConfig(window=5, size=4)
    assert config.carries_state
    assert config.build(part, END, 1, "").carries_state
    assert config.policy == "streams"
