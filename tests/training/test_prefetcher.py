"""The prefetcher gives the rows of each step, ahead of time or not."""

from pathlib import Path

import pytest
import torch

from assay.training.prefetcher import Prefetcher, StepBatches, StepShare
from support.experiment import build


def same(left: StepBatches, right: StepBatches) -> bool:
    tokens = all(
        torch.equal(a.tokens, b.tokens) and torch.equal(a.weight, b.weight)
        for a, b in zip(left.micro_batches, right.micro_batches, strict=True)
    )
    return tokens and left[1:] == right[1:]


def test_reading_ahead_changes_nothing(text: Path) -> None:
    batches = build(text).setup.batches
    plain, ahead = (Prefetcher(batches, torch.device("cpu"), ahead=value) for value in (False, True))
    last = batches.steps_per_epoch
    for step in (0, 1, 2, 7, 8, 3, last - 1, last, last + 1):  # in order, forward, back, and over the end of an epoch
        for part in (StepShare(step, 0, 1, 1), StepShare(step, 1, 2, 3)):
            assert same(plain.get(part), ahead.get(part))


def test_an_error_of_reading_reaches_the_step_that_reads_it(text: Path) -> None:
    batches = build(text).setup.batches

    class BrokenBatches:
        carries_state = False

        def batch_at(self, step: int) -> object:
            if step == 2:
                raise OSError("the disk is gone")
            return batches.batch_at(step)

    prefetcher = Prefetcher(BrokenBatches(), torch.device("cpu"), ahead=True)  # type: ignore[arg-type]
    prefetcher.get(StepShare(0, 0, 1, 1))
    prefetcher.get(StepShare(1, 0, 1, 1))
    with pytest.raises(OSError, match="the disk is gone"):
        prefetcher.get(StepShare(2, 0, 1, 1))


def test_a_micro_batch_knows_its_rows(text: Path) -> None:
    fed = Prefetcher(build(text).setup.batches, torch.device("cpu"), ahead=False).get(StepShare(0, 0, 1, 3))
    assert [(place.begin, place.stop, place.total) for place in fed.row_ranges] == [(0, 2, 4), (2, 3, 4), (3, 4, 4)]
    assert [len(batch.tokens) for batch in fed.micro_batches] == [2, 1, 1]
