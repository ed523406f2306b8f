"""Which trials count, and which go on at a rung."""

import random

from assay.searches.trial import Trial, count_fruitless, count_trials, survives_rung


def trial(number: int, state: str = "complete", **notes: object) -> Trial:
    return Trial(number, state, {}, None, notes=notes)  # type: ignore[arg-type]


def test_the_first_at_a_rung_goes_on_and_then_only_the_best_until_a_third_may() -> None:
    assert survives_rung(1.0, [], 3)
    assert survives_rung(0.9, [1.0], 3)
    assert not survives_rung(1.1, [1.0], 3)
    assert survives_rung(1.5, [1.0, 2.0, 2.0, 2.0, 2.0], 3)  # the second of six
    assert not survives_rung(1.6, [1.0, 1.5, 2.0, 2.0, 2.0], 3)


def test_about_one_in_so_many_goes_on_in_the_long_run() -> None:
    dice = random.Random(0)
    values: list[float] = []
    passed = 0
    for _ in range(3000):
        value = dice.random()
        passed += survives_rung(value, values, 4)
        values.append(value)
    assert 0.22 < passed / 3000 < 0.28


def test_only_trials_that_were_trained_count() -> None:
    listed = [
        trial(0),
        trial(1, "failed", ending="refused"),
        trial(2, "failed", ending="failed"),
        trial(3, "pruned"),
        trial(4, "failed", ending="repeat"),
        trial(5, "failed", ending="abandoned"),
        trial(6, "running"),
        trial(7, "waiting"),
    ]
    assert count_trials(listed) == 4


def test_proposals_are_fruitless_only_in_a_row() -> None:
    refused = [trial(number, "failed", ending="refused") for number in range(3)]
    assert count_fruitless(refused) == 3
    assert count_fruitless([*refused, trial(3), *refused[:2]]) == 2
