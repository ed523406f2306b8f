"""The feeder gives what the plan says, ahead of time or not."""

from pathlib import Path

import pytest
import torch

from assay.training.feeder import Fed, Feeder, Share
from support.experiment import build


def same(left: Fed, right: Fed) -> bool:
    tokens = all(
        torch.equal(a.tokens, b.tokens) and torch.equal(a.weight, b.weight) for a, b in zip(left.batches, right.batches, strict=True)
    )
    return tokens and left[1:] == right[1:]


def test_reading_ahead_changes_nothing(text: Path) -> None:
    plan = build(text).setup.plan
    plain, ahead = (Feeder(plan, torch.device("cpu"), ahead=value) for value in (False, True))
    last = plan.steps_per_epoch
    for step in (0, 1, 2, 7, 8, 3, last - 1, last, last + 1):  # in order, forward, back, and over the end of an epoch
        for part in (Share(step, 0, 1, 1), Share(step, 1, 2, 3)):
            assert same(plain.take(part), ahead.take(part))


def test_an_error_of_the_plan_reaches_the_step_that_reads_it(text: Path) -> None:
    plan = build(text).setup.plan

    class Torn:
        carries = False

        def rows(self, step: int) -> object:
            if step == 2:
                raise OSError("the disk is gone")
            return plan.rows(step)

    feeder = Feeder(Torn(), torch.device("cpu"), ahead=True)  # type: ignore[arg-type]
    feeder.take(Share(0, 0, 1, 1))
    feeder.take(Share(1, 0, 1, 1))
    with pytest.raises(OSError, match="the disk is gone"):
        feeder.take(Share(2, 0, 1, 1))


def test_a_micro_batch_knows_its_rows(text: Path) -> None:
    fed = Feeder(build(text).setup.plan, torch.device("cpu"), ahead=False).take(Share(0, 0, 1, 3))
    assert [(place.begin, place.stop, place.total) for place in fed.places] == [(0, 2, 4), (2, 3, 4), (3, 4, 4)]
    assert [len(batch.tokens) for batch in fed.batches] == [2, 1, 1]
