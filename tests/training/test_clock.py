"""The clock: time left from every kind of work, and how wrong that was."""

import time

import pytest

from assay.training.clock import DECAY, Clock, training_seconds


class Time:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Time:
    stopped = Time()
    monkeypatch.setattr(time, "perf_counter", stopped)
    return stopped


def work(clock: Clock, now: Time, kind: str, seconds: float) -> None:
    with clock.measure(kind):
        now.now += seconds


def test_time_left_adds_every_kind_of_work(now: Time) -> None:
    clock = Clock()
    for _ in range(10):
        work(clock, now, "step", 2.0)
    work(clock, now, "validate", 30.0)
    assert clock.estimate({"step": 5, "validate": 2}) == pytest.approx(5 * 2 + 2 * 30)
    assert clock.elapsed == pytest.approx(50)


def test_work_that_has_not_happened_yet_is_taken_as_one_step(now: Time) -> None:
    clock = Clock()
    work(clock, now, "step", 2.0)
    assert clock.estimate({"step": 1, "save": 3}) == pytest.approx(8)
    assert Clock().estimate({"step": 1}) == 0


def test_the_pace_is_a_mean_at_first_and_follows_later(now: Time) -> None:
    clock = Clock()
    for seconds in (1.0, 3.0):
        work(clock, now, "step", seconds)
    assert clock.estimate({"step": 1}) == pytest.approx(2)
    for _ in range(100):
        work(clock, now, "step", 2.0)
    work(clock, now, "step", 102.0)  # a hiccup
    assert clock.estimate({"step": 1}) == pytest.approx(2 + (1 - DECAY) * 100)
    for _ in range(400):
        work(clock, now, "step", 5.0)  # a slower machine
    assert clock.estimate({"step": 1}) == pytest.approx(5, rel=0.01)


def test_an_exact_prediction_has_no_error_and_the_first_tenth_does_not_count(now: Time) -> None:
    clock = Clock()
    clock.estimate_and_record({"step": 10})  # nothing is known yet
    for step in range(10):
        work(clock, now, "step", 1.0)
        assert clock.estimate_and_record({"step": 9 - step}) == pytest.approx(9 - step)
    assert clock.mean_error() == pytest.approx(0)


def test_the_error_is_relative_to_the_real_duration(now: Time) -> None:
    clock = Clock()
    for _ in range(5):
        work(clock, now, "step", 1.0)
    clock.estimate_and_record({"step": 5})  # the end at 10
    work(clock, now, "validate", 15.0)  # is at 20
    assert clock.mean_error() == pytest.approx(10 / 20)
    assert Clock().mean_error() is None


def test_a_resumed_clock_leaves_the_interruption_out(now: Time) -> None:
    clock = Clock()
    for _ in range(4):
        work(clock, now, "step", 1.0)
    clock.estimate_and_record({"step": 4})
    saved = clock.state_dict()
    now.now += 1000.0
    resumed = Clock()
    resumed.load_state_dict(saved)
    assert resumed.elapsed == pytest.approx(4)
    for _ in range(4):
        work(resumed, now, "step", 1.0)
    assert resumed.mean_error() == pytest.approx(0)
    assert resumed.state_dict()["counts"] == {"step": 8}
    assert clock.counts == {"step": 4}  # what was saved is not shared


def test_what_versions_before_0_6_stored_is_gone_on_with_under_the_names_of_now() -> None:
    earlier = {"warm-up": 4.0, "step": 6.0, "validate": 1.0}
    assert training_seconds(earlier) == training_seconds({"warm_up": 4.0, "step": 6.0}) == 10.0
    clock = Clock()
    clock.load_state_dict({"spent": earlier, "counts": {"warm-up": 2}, "recent": {"warm-up": 2.0}, "predictions": [], "elapsed": 11.0})
    assert (clock.spent["warm_up"], clock.counts, clock.seconds_per_step) == (4.0, {"warm_up": 2}, 2.0)
