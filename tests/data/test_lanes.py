"""Lanes: each row goes on where the row before it in its lane stopped."""

from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest

from assay.data.lanes import LanesConfig
from assay.data.plan import Plan
from assay.text.byte import ByteTokenizer
from assay.text.store import Part, read_part, write_part

END = ByteTokenizer().end


@pytest.fixture
def part(tmp_path: Path) -> Part:
    """N = 78."""
    places = iter(range(250))
    documents = [bytes(next(places) for _ in range(length)) for length in [3, 0, 11, 1, 7, 0, 25, 4, 4, 13]]
    return read_part(tmp_path, "train", write_part(tmp_path, "train", documents, None, ByteTokenizer()))


def lanes(plan: Plan, epoch: int) -> list[list[int]]:
    """The targets of each lane of an epoch, in the order in which they are read."""
    steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
    found = [plan.rows(step) for step in steps]
    count = len(found[0].tokens)
    return [[int(t) for rows in found for t in rows.tokens[lane, 1:][rows.weight[lane] > 0]] for lane in range(count)]


@pytest.mark.parametrize(("window", "batch"), [(5, 3), (7, 4), (100, 2), (1, 1), (3, 78)])
def test_the_lanes_joined_are_the_stream(part: Part, window: int, batch: int) -> None:
    plan = LanesConfig(window=window, batch=batch).build(part, END, 1, "")
    for epoch in range(2):
        found = lanes(plan, epoch)
        assert max(map(len, found)) - min(map(len, found)) <= 1
        order = LanesConfig(window=1, batch=1).build(part, END, 1, "")
        assert list(chain(*found)) == lanes(order, epoch)[0]


def test_the_input_of_a_row_begins_with_the_last_target_of_the_row_before(part: Part) -> None:
    plan = LanesConfig(window=5, batch=4).build(part, END, 1, "")
    for epoch in range(2):
        rows = [plan.rows(epoch * plan.steps_per_epoch + step) for step in range(plan.steps_per_epoch)]
        for before, after in pairwise(rows):
            live = after.weight[:, 0] > 0
            assert (before.tokens[live, -1] == after.tokens[live, 0]).all()
        joined = np.array(list(chain(*lanes(plan, epoch))))
        cuts = np.arange(4) * 78 // 4
        assert rows[0].tokens[:, 0].tolist() == [END, *joined[cuts[1:] - 1].tolist()]


def test_only_the_rows_of_an_epochs_first_step_are_fresh(part: Part) -> None:
    plan = LanesConfig(window=5, batch=4).build(part, END, 1, "")
    assert plan.steps_per_epoch == 4
    assert [bool(plan.rows(step).fresh.all()) for step in range(9)] == [True, *[False] * 3] * 2 + [True]
    assert not any(plan.rows(step).fresh.any() for step in (1, 2, 3))


def test_lanes_say_that_they_carry(part: Part) -> None:
    config = LanesConfig(window=5, batch=4)
    assert config.carries
    assert config.build(part, END, 1, "").carries
    assert config.policy == "carried"
