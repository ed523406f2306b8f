"""Schedules: factors at landmarks of the budget, pure functions of the step, and the rule for the batch."""

import math
from itertools import pairwise

import pytest

from assay.core.config import FAMILIES
from assay.errors import ConfigError
from assay.experiment.config import ExperimentConfig
from assay.optim.schedule import (
    ConstantConfig,
    CosineConfig,
    InverseSqrtConfig,
    LinearConfig,
    OneCycleConfig,
    ScheduleConfig,
    StepConfig,
    WarmupConfig,
    WsdConfig,
)

STEPS = 1000
LANDMARKS: list[tuple[ScheduleConfig, dict[float, float]]] = [
    (ConstantConfig(), {0.0: 1, 0.5: 1, 1.0: 1}),
    (LinearConfig(final=0.2), {0.0: 1, 0.25: 0.8, 0.5: 0.6, 1.0: 0.2}),
    (CosineConfig(final=0.1), {0.0: 1, 0.5: 0.55, 1.0: 0.1, 1 / 3: 0.1 + 0.9 * 0.75}),
    (WsdConfig(decay=0.4, final=0.0), {0.0: 1, 0.6: 1, 0.7: 0.75, 0.8: 0.5, 1.0: 0}),
    (WsdConfig(decay=1.0, final=0.5), {0.0: 1, 0.5: 0.75, 1.0: 0.5}),
    (WsdConfig(decay=0.4, final=0.2, curve="sqrt"), {0.0: 1, 0.6: 1, 0.7: 1 - 0.8 * 0.5, 1.0: 0.2}),
    (StepConfig(milestones=(0.3, 0.75), gamma=0.1), {0.0: 1, 0.299: 1, 0.3: 0.1, 0.749: 0.1, 0.75: 0.01, 1.0: 0.01}),
    (InverseSqrtConfig(warmup=10), {0.0: 0.1, 0.004: 0.5, 0.009: 1, 0.039: 0.5, 0.159: 0.25, 0.999: 0.1}),
    (OneCycleConfig(rise=0.4, start=0.2, final=0.01), {0.0: 0.2, 0.2: 0.6, 0.4: 1, 0.6: 0.6, 0.8: 0.2, 0.9: 0.105, 1.0: 0.01}),
    (OneCycleConfig(rise=0.5, start=0.2, final=0.2), {0.0: 0.2, 0.5: 1, 1.0: 0.2}),
]
each = pytest.mark.parametrize(("schedule", "expected"), LANDMARKS, ids=lambda value: getattr(value, "kind", ""))
warmed = pytest.mark.parametrize(
    "schedule", [schedule for schedule, _ in LANDMARKS if isinstance(schedule, WarmupConfig)], ids=lambda s: s.kind
)


def test_the_landmarks_cover_every_schedule() -> None:
    assert set(FAMILIES["schedule"].kinds) == {schedule.to_dict()["kind"] for schedule, _ in LANDMARKS}


@each
def test_the_factor_passes_its_landmarks(schedule: ScheduleConfig, expected: dict[float, float]) -> None:
    for fraction, factor in expected.items():
        assert schedule.build(16).factor(round(fraction * STEPS), fraction) == pytest.approx(factor, abs=1e-12)


@each
def test_the_factor_is_highest_once_and_never_rises_again(schedule: ScheduleConfig, expected: dict[float, float]) -> None:
    factors = [schedule.factor(step, step / STEPS) for step in range(STEPS)]
    highest = factors.index(max(factors))
    assert factors[highest] == pytest.approx(1)
    assert all(later <= earlier + 1e-15 for earlier, later in pairwise(factors[highest:]))
    assert all(later >= earlier for earlier, later in pairwise(factors[: highest + 1]))


@warmed
def test_the_warm_up_multiplies_the_shape_and_does_not_lose_the_first_step(schedule: WarmupConfig) -> None:
    warm = schedule.replace(warmup=4)
    for step, share in {0: 0.25, 1: 0.5, 2: 0.75, 3: 1.0, 4: 1.0, 50: 1.0}.items():
        assert warm.factor(step, step / 100) == pytest.approx(share * schedule.shape(step / 100))


@each
def test_the_factor_is_a_pure_function(schedule: ScheduleConfig, expected: dict[float, float]) -> None:
    built = schedule.build(16)
    forwards = [built.factor(step, step / 20) for step in range(20)]
    backwards = [built.factor(step, step / 20) for step in reversed(range(20))]
    assert forwards == backwards[::-1]
    assert all(math.isfinite(factor) and 0 <= factor <= 1 for factor in forwards)


@each
def test_a_built_schedule_is_frozen(schedule: ScheduleConfig, expected: dict[float, float]) -> None:
    with pytest.raises(AttributeError):
        schedule.build(16).scale = 2.0  # type: ignore[misc]


def test_inverse_sqrt_is_the_published_formula_over_its_highest_value() -> None:
    def published(step: int) -> float:
        return float(512**-0.5 * min(step**-0.5, step * 4000**-1.5))

    schedule = InverseSqrtConfig(warmup=4000).build(16)
    for step in (0, 99, 3999, 4000, 100_000):
        assert schedule.factor(step, 0.0) == pytest.approx(published(step + 1) / published(4000))


def test_inverse_sqrt_does_not_know_the_budget() -> None:
    schedule = InverseSqrtConfig(warmup=7)
    assert [schedule.factor(step, step / 50) for step in range(50)] == [schedule.factor(step, step / 5000) for step in range(50)]


def test_the_stable_part_of_wsd_is_that_of_any_longer_run() -> None:
    schedule = WsdConfig(warmup=5, decay=0.5)
    assert [schedule.factor(step, step / 100) for step in range(50)] == [schedule.factor(step, step / 1000) for step in range(50)]


def test_milestones_of_stairs_keep_their_shares_in_any_budget() -> None:
    schedule = StepConfig(milestones=(0.3, 0.7), gamma=0.5)
    for steps in (10, 30, 1000):
        factors = [schedule.factor(step, step / steps) for step in range(steps)]
        assert [factors.count(factor) / steps for factor in (1, 0.5, 0.25)] == pytest.approx([0.3, 0.4, 0.3])


@pytest.mark.parametrize(("rule", "scale"), [("linear", 192 / 512), ("sqrt", math.sqrt(192 / 512))])
@each
def test_the_rule_for_the_batch_scales_every_factor(
    schedule: ScheduleConfig, expected: dict[float, float], rule: str, scale: float
) -> None:
    ruled = schedule.replace(batch_rule=rule, reference_batch=512).build(192)
    for fraction, factor in expected.items():
        assert ruled.factor(round(fraction * STEPS), fraction) == pytest.approx(scale * factor, abs=1e-12)


def test_the_reference_batch_itself_changes_no_bit() -> None:
    plain = CosineConfig(warmup=3)
    for rule in ("linear", "sqrt"):
        ruled = plain.replace(batch_rule=rule, reference_batch=12).build(12)
        assert [ruled.factor(step, step / 20) for step in range(20)] == [plain.build(12).factor(step, step / 20) for step in range(20)]


@pytest.mark.parametrize(
    ("settings", "place", "words"),
    [
        ({"kind": "cosine", "batch_rule": "sqrt"}, "batch_rule", "add schedule.reference_batch"),
        ({"kind": "cosine", "reference_batch": 512}, "reference_batch", "add schedule.batch_rule"),
        ({"kind": "one_cycle", "warmup": 5}, "warmup", "one_cycle rises by itself"),
        ({"kind": "one_cycle", "start": 0.01, "final": 0.1}, "final", "above schedule.start=0.01"),
        ({"kind": "one_cycle", "rise": 0.6}, "rise", "less than or equal to 0.5"),
        ({"kind": "inverse_sqrt", "warmup": 0}, "warmup", "greater than or equal to 1"),
        ({"kind": "step", "milestones": []}, "milestones", "use constant"),
        ({"kind": "step", "milestones": [0.5, 0.2]}, "milestones", "rising order"),
        ({"kind": "step", "milestones": [1.0]}, "milestones", "between 0 and 1"),
        ({"kind": "wsd", "curve": "1-sqrt"}, "curve", "'linear' or 'sqrt'"),
    ],
    ids=str,
)
def test_settings_that_contradict_are_refused_at_their_place(settings: dict[str, object], place: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        ExperimentConfig.load("bible").replace(schedule=settings)
    assert refused.value.path == f"schedule.{place}"


def test_a_schedule_of_another_kind_replaces_the_recipes_whole() -> None:
    assert ExperimentConfig.load("bible", ["schedule=one_cycle"]).schedule == OneCycleConfig()


@pytest.mark.parametrize(
    ("schedule", "steps", "words"),
    [
        (CosineConfig(warmup=500), 300, "warm-up of 500 steps in a run of 300: the rate never reaches its peak (highest 0.17 of it)"),
        (InverseSqrtConfig(warmup=500), 300, "(highest 0.6 of it); lower schedule.warmup"),
        (ConstantConfig(warmup=300), 300, "the rate peaks in its last step alone; lower schedule.warmup"),
        (LinearConfig(warmup=250), 300, "(highest 0.3 of it)"),
        (WsdConfig(warmup=290, decay=0.5), 300, "never reaches its peak"),
        (WsdConfig(decay=0.01), 20, "the rate never falls; raise schedule.decay"),
        (StepConfig(milestones=(0.5, 0.99)), 20, "milestone 0.99 of a run of 20 steps: it is after the last step"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_parts_of_a_schedule_that_a_run_does_not_reach_are_told(schedule: ScheduleConfig, steps: int, words: str) -> None:
    (told,) = schedule.list_misfits(steps)
    assert words in told


@pytest.mark.parametrize("kind", FAMILIES["schedule"].kinds)
def test_nothing_is_told_of_a_schedule_that_fits(kind: str) -> None:
    schedule = FAMILIES["schedule"].make({"kind": kind})
    assert isinstance(schedule, ScheduleConfig)
    assert not list(schedule.list_misfits(STEPS))


def test_the_highest_factor_of_a_budget_in_minutes_counts_the_measured_steps_as_its_beginning() -> None:
    assert "(highest 0.5 of it)" in next(ConstantConfig(warmup=100).list_misfits(50, measured=50))
    assert "(highest 0.5 of it)" in next(LinearConfig(warmup=100).list_misfits(50, measured=50))
