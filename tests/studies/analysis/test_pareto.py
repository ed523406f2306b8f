"""Fronts of quality against cost: planted points are found exactly, and unresolved ones are ties."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from assay.studies.analysis.pareto import find_fronts, mark_pareto_points
from assay.studies.analysis.results import ComparisonToBase, FrontPoint, ParetoFront
from support.made_study import arm, deep, outcome_of


def front(
    cost: str, *points: tuple[float, float], noise: float = 0.001, seeds: int = 3, metric: str = "bits_per_byte"
) -> dict[str, FrontPoint]:
    """The front of arms a, b, ... of these (parameters, figure), whose seeds rank otherwise in each."""
    arms = []
    for depth, (name, (parameters, figure)) in enumerate(zip("abcdefgh", points, strict=False), 2):
        planned = arm(name, {"model.depth": depth}, parameters=int(parameters), state_bytes=100, flops_per_token=int(parameters))
        arms.append(
            outcome_of(planned, {seed: figure + noise * ((seed + depth) % seeds - (seeds - 1) / 2) for seed in range(seeds)}, metric)
        )
    made: dict[str, ParetoFront] = {one.cost: one for one in find_fronts(arms)}
    return {one.arm: one for one in made[cost].arms}


def test_the_planted_front_is_found_exactly() -> None:
    """A convex front of 20 points, and 80 that each lie behind one of them."""
    random = np.random.default_rng(0)
    best = [(float(cost), 3 - np.log(cost)) for cost in range(1, 21)]
    behind = []
    for _ in range(80):
        cost, loss = best[random.integers(20)]
        behind.append((cost + random.uniform(0, 3), loss + random.uniform(0.001, 1)))
    order = random.permutation(100)
    shuffled = [(best + behind)[place] for place in order]
    assert [place < 20 for place in order] == mark_pareto_points(shuffled)


def test_of_two_equal_points_both_are_on_the_front_and_of_equal_cost_only_the_better() -> None:
    assert mark_pareto_points([(1, 2), (1, 2), (1, 3), (2, 2), (2, 1)]) == [True, True, False, False, True]


def test_an_arm_is_on_the_front_of_parameters_if_none_is_smaller_and_better() -> None:
    found = front("parameters", (100, 2.0), (200, 1.8), (300, 1.9), (150, 2.1))
    assert {name for name, one in found.items() if one.on_front} == {"a", "b"}
    assert list(found) == ["a", "d", "b", "c"]  # from the cheapest
    assert all(one.ties == () for one in found.values())


def test_an_arm_that_is_not_resolved_from_the_front_is_a_tie_and_not_ranked() -> None:
    found = front("parameters", (100, 2.0), (200, 1.8), (300, 1.801), (400, 1.9), noise=0.01)
    assert not found["c"].on_front
    assert found["c"].ties == ("b",)
    assert found["d"].ties == ()


def test_what_a_comparison_with_the_base_resolves_is_no_tie() -> None:
    base, other = (
        outcome_of(planned, {seed: figure + 0.02 * (seed - 1) for seed in range(3)})
        for planned, figure in ((arm(parameters=10), 2.0), (deep(2, parameters=20), 2.01))
    )
    against = ComparisonToBase(
        arm=other.name,
        difference=0.01,
        interval=None,
        text_interval=None,
        adjusted_p_value=None,
        resolved=True,
        seeds_needed=None,
        rank_interval=None,
        suspicious=False,
        verdict="",
        unequal_conditions={},
    )
    for comparisons, ties in ((None, ("base",)), ((against,), ())):
        found = {one.arm: one for one in find_fronts([base, other], comparisons)[0].arms}
        assert found[other.name].ties == ties
    assert find_fronts([base, other], ()) == ()  # as those of another text are


def test_arms_with_one_seed_are_all_ties() -> None:
    found = front("parameters", (100, 2.0), (200, 1.0), seeds=1)
    assert found["a"].ties == ("b",)
    assert found["b"].ties == ("a",)


def timed(*arms: tuple[tuple[float, ...], float]) -> dict[str, FrontPoint]:
    """The front of seconds of arms a, b, ... with these seconds by seed and this figure."""
    made = []
    for depth, (name, (seconds, figure)) in enumerate(zip("abcdefgh", arms, strict=False), 2):
        one = outcome_of(arm(name, {"model.depth": depth}), {seed: figure + 0.001 * seed for seed in range(len(seconds))})
        runs = tuple(
            replace(run, resource_use=run.resource_use._replace(seconds=spent)) for run, spent in zip(one.runs, seconds, strict=True)
        )
        made.append(replace(one, runs=runs, all_runs=runs))
    return {point.arm: point for point in next(front for front in find_fronts(made) if front.cost == "seconds").arms}


def on_front(points: Mapping[str, FrontPoint]) -> set[str]:
    return {name for name, point in points.items() if point.on_front}


def test_noise_of_the_clock_makes_no_front() -> None:
    """Ten arms that take the same time but for 4 %: the best alone is on the front; with exact times about three would be."""
    random = np.random.default_rng(0)
    arms = [((float(100 * (1 + random.uniform(-0.04, 0.04))),), 2.0 + place / 100) for place in range(8)]
    assert on_front(timed(*arms)) == {"a"}
    assert sum(mark_pareto_points([(seconds[0], figure) for seconds, figure in arms])) > 1


def test_arms_whose_seconds_differ_by_more_than_their_noise_are_both_on_the_front() -> None:
    assert on_front(timed(((100.0,), 1.9), ((80.0,), 2.0))) == {"a", "b"}
    assert on_front(timed(((100.0,), 1.9), ((92.0,), 2.0))) == {"a"}


def test_the_band_of_seconds_is_the_spread_of_the_runs_where_that_is_wider() -> None:
    points = timed(((60.0, 100.0, 140.0), 1.9), ((70.0, 70.0, 70.0), 2.0))
    assert (points["a"].spread, points["b"].spread) == (40.0, pytest.approx(3.5))
    assert on_front(points) == {"a"}


def test_costs_that_are_counted_are_exact() -> None:
    found = front("flops", (100, 2.0), (101, 1.9))
    assert {name: (one.on_front, one.spread) for name, one in found.items()} == {"a": (True, 0.0), "b": (True, 0.0)}


def test_more_of_an_accuracy_is_better() -> None:
    found = front("flops", (100, 0.3), (200, 0.5), (300, 0.4), metric="top1_accuracy")
    assert {name for name, one in found.items() if one.on_front} == {"a", "b"}


def test_there_is_a_front_for_flops_parameters_seconds_and_state() -> None:
    arms = [outcome_of(arm(), {0: 2.0, 1: 2.1}), outcome_of(deep(2), {0: 1.9, 1: 2.0}), outcome_of(deep(3), {})]
    made = find_fronts(arms)
    assert [one.cost for one in made] == ["flops", "parameters", "seconds", "state_bytes"]
    assert all([point.arm for point in one.arms] == ["base", "depth=2"] for one in made)
    assert find_fronts(arms[:1]) == ()
