"""What the counts of a validation loop say about its figure."""

import math

import pytest

from assay.errors import UserError
from assay.evaluation.legacy import HarnessShape, list_visited_targets
from assay.foreign.check import check_model
from assay.foreign.validation import ValidationLoop, check_validation
from foreign.nano import Nano, V


def test_a_loop_over_every_token_is_told_in_bits_per_byte() -> None:
    found = check_validation(ValidationLoop(loss=2.0, tokens_scored=1000, tokens=1000, bytes=3000))
    assert found.kinds == ("complete",)
    assert found.ok
    assert str(found) == f"the validation loop covers every token; its loss is {2000 / (3000 * math.log(2)):.4f} bits per byte"


@pytest.mark.parametrize(("divided_by", "loss"), [(None, 2.0), (1, 2000.0), (3000, 2 / 3), (1000, 2.0)])
def test_the_divisor_is_a_matter_of_units_where_every_token_was_scored(divided_by: int | None, loss: float) -> None:
    loop = ValidationLoop(loss=loss, tokens_scored=1000, tokens=1000, bytes=3000, divided_by=divided_by)
    assert check_validation(loop).kinds == ("complete",)
    assert loop.interval == pytest.approx((2000 / (3000 * math.log(2)),) * 2)


def test_a_partial_loop_leaves_an_interval() -> None:
    loop = ValidationLoop(loss=2.0, tokens_scored=545, tokens=1000, bytes=1000, vocabulary=65)
    (found,) = check_validation(loop)
    assert found.kind == "incomplete"
    assert "covers 54.5 % of the tokens; the rest, 455 tokens, is never scored" in found.sentence
    assert loop.interval == pytest.approx((1090 / math.log(2) / 1000, (1090 + 455 * math.log(65)) / math.log(2) / 1000))
    assert not found.harmless


def test_without_the_vocabulary_there_is_no_upper_end() -> None:
    loop = ValidationLoop(loss=2.0, tokens_scored=545, tokens=1000, bytes=1000)
    assert loop.interval is not None
    assert loop.interval[1] == math.inf
    assert "how many more is not known" in check_validation(loop)[0].sentence


def test_a_partial_sum_over_the_whole_is_told() -> None:
    loop = ValidationLoop(loss=1.0, tokens_scored=500, tokens=1000, bytes=3000, divided_by=3000)
    found = check_validation(loop)
    assert found.kinds == ("incomplete", "divides_by_the_whole")
    assert "of what was scored the figure would be 2.00 times as large" in found[1].sentence
    unsure = check_validation(ValidationLoop(loss=1.0, tokens_scored=500, tokens=1000, bytes=3000, divided_by=3100))
    assert "if that counts the whole text" in unsure[1].sentence


@pytest.mark.parametrize(("drop_last", "scored"), [(True, 896), (False, 999)])
def test_rows_from_first_to_last_miss_the_first_token_and_a_dropped_batch(drop_last: bool, scored: int) -> None:
    loop = ValidationLoop(loss=2.0, tokens=1000, bytes=1000, batch=4, block=32, drop_last=drop_last)
    assert loop.scored == scored
    assert check_validation(loop).kinds == ("incomplete",)


def test_all_but_one_token_is_not_all() -> None:
    loop = ValidationLoop(loss=2.0, tokens=100_000, bytes=100_000, batch=1, block=8)
    assert "covers 99.9 %" in check_validation(loop)[0].sentence


def test_the_harness_with_spans_covers_what_the_legacy_figure_says() -> None:
    scored = list_visited_targets(1000, HarnessShape(32, 4)).size
    loop = ValidationLoop(loss=0.5, tokens_scored=scored, tokens=1000, bytes=3000, divided_by=3000)
    assert check_validation(loop)[0].to_dict()["share"] == scored / 1000
    assert check_validation(loop).kinds == ("incomplete", "divides_by_the_whole")


def test_more_tokens_than_there_are_count_twice() -> None:
    loop = ValidationLoop(loss=2.0, tokens=1000, bytes=1000, batches=3, batch=8, block=64)
    assert loop.interval is None
    assert check_validation(loop).kinds == ("counted_twice",)


def test_random_batches_are_another_text_every_time() -> None:
    loop = ValidationLoop(loss=2.0, tokens=1000, bytes=1000, batches=2, batch=10, block=50, random=True)
    (found,) = check_validation(loop)
    assert found.kind == "random_batches"
    assert "about 63.2 % of the tokens" in found.sentence


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"loss": -1.0}, "loss: -1.0"),
        ({"loss": math.nan}, "loss: nan"),
        ({"tokens": 0}, "tokens: 0"),
        ({"tokens_scored": None}, "give it, or"),
    ],
)
def test_counts_that_cannot_be_are_refused(wrong: dict[str, float | None], said: str) -> None:
    with pytest.raises(UserError, match=said):
        ValidationLoop(**{"loss": 1.0, "tokens": 10, "bytes": 10, "tokens_scored": 10, **wrong})  # type: ignore[arg-type]


def test_a_check_of_a_model_takes_a_loop_along() -> None:
    loop = ValidationLoop(loss=2.0, tokens_scored=545, tokens=1000, bytes=1000)
    assert check_model(Nano("looks_ahead"), V, validation=loop).kinds == ("looks_ahead", "incomplete")
