"""Quality against cost: the arms on the Pareto front, and those whose distance from it may be chance.

An arm is on the front of a cost if no other arm is at least as good in both cost and quality and better in one. Quality is a mean over
seeds, so its order may be chance: an arm is tied with those of the front from which its quality differs by less than is resolved.

A cost that is counted (FLOPs, parameters, bytes) is exact. One that is measured (seconds) has noise: its band reaches as far to both sides
of the arm's mean as its runs spread (their standard deviation), and at least `TIMING_NOISE` of it, which is what a single run has. Arms
whose bands overlap cost the same, so that the better of them alone is on the front.
"""

from collections.abc import Callable, Collection, Sequence
from itertools import combinations
from statistics import fmean, stdev
from typing import NamedTuple

from assay.evaluation.compare import Arm, compare_over_seeds
from assay.evaluation.verdict import is_resolved
from assay.studies.analysis.results import ArmOutcome, ComparisonToBase, FrontPoint, ParetoFront

# of the seconds, what a run that is made again may take more or less: 80 steps of `bible --scale tiny` took 11.9 and 12.4 s with two seeds
TIMING_NOISE = 0.05


class Quantity(NamedTuple):
    """An amount that an arm gets or costs."""

    noun: str
    label: str  # with its unit
    measure: Callable[[ArmOutcome], float | None]
    spread: Callable[[ArmOutcome], float] | None = None  # of what is measured; None: it is counted, and exact


def measure_spread_of_seconds(arm: ArmOutcome) -> float:
    """Measure how far an arm's seconds may lie from their mean: the standard deviation of its runs, at least that of a single run."""
    seconds = [run.resource_use.seconds for run in arm.scored_runs if run.resource_use.seconds is not None]
    if not seconds:
        return 0.0
    return max(stdev(seconds) if len(seconds) > 1 else 0.0, TIMING_NOISE * fmean(seconds))


QUANTITIES = {  # what every arm may have to get equally
    "tokens": Quantity("tokens", "tokens of training", lambda arm: arm.resource_use.tokens),
    "text": Quantity("training text", "bytes of training text", lambda arm: arm.resource_use.bytes),
    "flops": Quantity("FLOPs", "FLOPs of training", lambda arm: arm.resource_use.flops),
    "minutes": Quantity("training time", "seconds of training steps", lambda arm: arm.resource_use.seconds, measure_spread_of_seconds),
    "parameters": Quantity("parameters", "parameters", lambda arm: arm.planned_arm.parameters),
}
COSTS = {
    "flops": QUANTITIES["flops"],
    "parameters": QUANTITIES["parameters"],
    "seconds": QUANTITIES["minutes"],
    "state_bytes": Quantity("state", "bytes of state while generating", lambda arm: arm.planned_arm.state_bytes),
}


def find_fronts(arms: Sequence[ArmOutcome], comparisons: Sequence[ComparisonToBase] | None = None) -> tuple[ParetoFront, ...]:
    """Find the front of each cost, over the arms whose cost and quality are known; none where fewer than two arms are.

    With `comparisons` to the first arm, the base, an arm that is in none, as it is of another text, is on no front. What they resolve is
    no tie here either: they are fewer than all pairs, so Holm asks less of each.
    """
    fronts = []
    resolved = {frozenset((arms[0].name, one.arm)) for one in comparisons or () if one.resolved}
    if comparisons is not None:
        compared = {arms[0].name, *(one.arm for one in comparisons)}
        arms = [arm for arm in arms if arm.name in compared]
    for name, cost in COSTS.items():
        known = [(arm, float(value)) for arm in arms if arm.mean == arm.mean is not None and (value := cost.measure(arm)) is not None]
        if len(known) > 1:
            fronts.append(_find_front(name, sorted(known, key=lambda one: one[1]), resolved))
    return tuple(fronts)


def mark_pareto_points(points: Sequence[tuple[float, float]], spreads: Sequence[float] | None = None) -> list[bool]:
    """Mark the points (cost, loss) for which no other one is at least as low in both and lower in one.

    Costs that differ by no more than their two spreads together are the same.
    """
    bands = list(zip(points, spreads or [0.0] * len(points), strict=True))
    return [not any(_dominates(other, one) for other in bands) for one in bands]


def _dominates(one: tuple[tuple[float, float], float], other: tuple[tuple[float, float], float]) -> bool:
    """Whether one point, with the spread of its cost, is at least as low as another in both and lower in one."""
    ((cost, loss), spread), ((other_cost, other_loss), other_spread) = one, other
    same = abs(cost - other_cost) <= spread + other_spread
    return (same and loss < other_loss) or (not same and cost < other_cost and loss <= other_loss)


def _find_front(cost: str, known: Sequence[tuple[ArmOutcome, float]], resolved: Collection[frozenset[str]]) -> ParetoFront:
    arms = [arm for arm, _ in known]
    spread = COSTS[cost].spread
    spreads = [0.0 if spread is None else spread(arm) for arm in arms]
    best = mark_pareto_points([(value, arm.metric.loss(arm.mean or 0.0)) for arm, value in known], spreads)
    tied = {pair for pair in find_unresolved_pairs(arms) if frozenset(arms[index].name for index in pair) not in resolved}
    points = []
    for index, (arm, value) in enumerate(known):
        ties = tuple(other.name for place, other in enumerate(arms) if best[place] and frozenset((index, place)) in tied)
        points.append(FrontPoint(arm.name, value, arm.mean or 0.0, best[index], ties, spreads[index]))
    return ParetoFront(cost, COSTS[cost].label, tuple(points))


def find_unresolved_pairs(arms: Sequence[ArmOutcome]) -> set[frozenset[int]]:
    """Find the pairs of arms whose quality differs by no more than their seeds do, after Holm over all pairs; single seeds never do."""
    pairs = list(combinations(range(len(arms)), 2))
    compared = compare_over_seeds([Arm(arm.name, arm.scores) for arm in arms], pairs, arms[0].metric.loss_of)
    return {frozenset(pair) for pair, over in zip(pairs, compared, strict=True) if not is_resolved(over)}
