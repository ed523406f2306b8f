"""Quality against cost: which arms are on the front, and which are only so far from it as chance may have put them.

An arm is on the front of a cost if no other arm is at least as good in both cost and quality and better in one. Quality is a mean over
seeds, so its order may be chance: an arm is tied with those of the front from which its quality differs by less than is resolved.
"""

from collections.abc import Callable, Collection, Sequence
from itertools import combinations
from typing import NamedTuple

from assay.evaluation.compare import Arm, over_seeds
from assay.evaluation.verdict import resolved
from assay.studies.analysis.results import Against, ArmOutcome, Front, OnFront
from assay.studies.plan import BASE


class Cost(NamedTuple):
    """Something that an arm takes."""

    name: str
    label: str
    of: Callable[[ArmOutcome], float | None]


COSTS = (
    Cost("flops", "FLOPs of training", lambda arm: arm.spent.flops),
    Cost("parameters", "parameters", lambda arm: arm.plan.parameters),
    Cost("seconds", "seconds of training steps", lambda arm: arm.spent.seconds),
    Cost("state_bytes", "bytes of state while generating", lambda arm: arm.plan.state_bytes),
)


def fronts(arms: Sequence[ArmOutcome], comparisons: Sequence[Against] = ()) -> tuple[Front, ...]:
    """The front of each cost, over the arms whose cost and quality are known; none where fewer than two arms are.

    What `comparisons` resolve is no tie here either: they are fewer than all pairs, so Holm asks less of each.
    """
    made = []
    apart = {frozenset((BASE, one.arm)) for one in comparisons if one.resolved}
    for cost in COSTS:
        known = [(arm, float(value)) for arm in arms if arm.mean == arm.mean is not None and (value := cost.of(arm)) is not None]
        if len(known) > 1:
            made.append(_front(cost, sorted(known, key=lambda one: one[1]), apart))
    return tuple(made)


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of points (cost, loss): whether no other one is at least as low in both and lower in one."""
    return [
        not any(other[0] <= one[0] and other[1] <= one[1] and (other[0] < one[0] or other[1] < one[1]) for other in points)
        for one in points
    ]


def _front(cost: Cost, known: Sequence[tuple[ArmOutcome, float]], apart: Collection[frozenset[str]]) -> Front:
    arms = [arm for arm, _ in known]
    best = on_front([(value, arm.metric.loss(arm.mean or 0.0)) for arm, value in known])
    tied = {pair for pair in unresolved(arms) if frozenset(arms[index].name for index in pair) not in apart}
    listed = [
        OnFront(
            arm=arm.name,
            cost=value,
            figure=arm.mean or 0.0,
            front=best[index],
            ties=tuple(other.name for place, other in enumerate(arms) if best[place] and frozenset((index, place)) in tied),
        )
        for index, (arm, value) in enumerate(known)
    ]
    return Front(cost.name, cost.label, tuple(listed))


def unresolved(arms: Sequence[ArmOutcome]) -> set[frozenset[int]]:
    """The pairs of arms whose quality does not differ by more than their seeds do, after Holm over all pairs; single seeds never do."""
    pairs = list(combinations(range(len(arms)), 2))
    metric = arms[0].metric
    found = over_seeds([Arm(arm.name, arm.stored) for arm in arms], pairs, lambda run: metric.loss(metric.of(run)))
    return {frozenset(pair) for pair, over in zip(pairs, found, strict=True) if over is None or not resolved(over)}
