"""Schedules: factors at landmarks of the budget, pure functions of the step."""

import math
from itertools import pairwise

import pytest

from assay.core.config import FAMILIES
from assay.optim.schedule import ConstantConfig, CosineConfig, LinearConfig, ScheduleConfig, WsdConfig

LANDMARKS = [
    (ConstantConfig(), {0.0: 1, 0.5: 1, 1.0: 1}),
    (LinearConfig(final=0.2), {0.0: 1, 0.25: 0.8, 0.5: 0.6, 1.0: 0.2}),
    (CosineConfig(final=0.1), {0.0: 1, 0.5: 0.55, 1.0: 0.1, 1 / 3: 0.1 + 0.9 * 0.75}),
    (WsdConfig(decay=0.4, final=0.0), {0.0: 1, 0.6: 1, 0.7: 0.75, 0.8: 0.5, 1.0: 0}),
    (WsdConfig(decay=1.0, final=0.5), {0.0: 1, 0.5: 0.75, 1.0: 0.5}),
]
each = pytest.mark.parametrize(("schedule", "expected"), LANDMARKS, ids=lambda value: getattr(value, "kind", ""))


def test_the_landmarks_cover_every_schedule() -> None:
    assert set(FAMILIES["schedule"].kinds) == {schedule.tree()["kind"] for schedule, _ in LANDMARKS}


@each
def test_the_shape_passes_its_landmarks(schedule: ScheduleConfig, expected: dict[float, float]) -> None:
    for fraction, factor in expected.items():
        assert schedule.shape(fraction) == pytest.approx(factor, abs=1e-12)


@each
def test_the_factor_never_rises_after_the_warm_up(schedule: ScheduleConfig, expected: dict[float, float]) -> None:
    factors = [schedule.factor(step, step / 100) for step in range(100)]
    assert all(later <= earlier + 1e-15 for earlier, later in pairwise(factors))


@each
def test_the_warm_up_multiplies_the_shape_and_does_not_lose_the_first_step(schedule: ScheduleConfig, expected: dict[float, float]) -> None:
    warm = schedule.changed(warmup=4)
    for step, share in {0: 0.25, 1: 0.5, 2: 0.75, 3: 1.0, 4: 1.0, 50: 1.0}.items():
        assert warm.factor(step, step / 100) == pytest.approx(share * schedule.shape(step / 100))


@each
def test_the_factor_is_a_pure_function(schedule: ScheduleConfig, expected: dict[float, float]) -> None:
    warm = schedule.changed(warmup=5)
    forwards = [warm.factor(step, step / 20) for step in range(20)]
    backwards = [warm.factor(step, step / 20) for step in reversed(range(20))]
    assert forwards == backwards[::-1]
    assert all(math.isfinite(factor) and 0 <= factor <= 1 for factor in forwards)
