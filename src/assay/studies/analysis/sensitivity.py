"""How each arm depends on its learning rate: the figures on validation, over the tuning seeds, with each factor that was tried.

A best factor at the end of its range may not be the best one at all: the range should be widened.
"""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from assay.studies.analysis.results import ArmOutcome, Sensitivity
from assay.studies.plan import Plan


def sensitivities(plan: Plan, arms: Sequence[ArmOutcome]) -> tuple[Sensitivity, ...]:
    """Of each arm that has figures with two factors or more; of none where a study tunes nothing."""
    if not plan.study.tuned:
        return ()
    return tuple(found for arm in arms if (found := _of(arm)) is not None)


def _of(arm: ArmOutcome) -> Sensitivity | None:
    figures: dict[float, list[float]] = defaultdict(list)
    tried, failed = set(), set()
    for run in arm.jobs:
        if run.job.tuning:
            tried.add(run.job.lr_factor)
            if run.validation is not None:
                figures[run.job.lr_factor].append(arm.metric.of(run.validation))
            elif run.state == "failed":
                failed.add(run.job.lr_factor)
    means = {factor: fmean(values) for factor, values in sorted(figures.items()) if factor not in failed}
    if len(means) + len(failed) < 2 or not means:
        return None
    losses = {factor: arm.metric.loss(mean) for factor, mean in means.items()}
    best = arm.factor if arm.factor in means else min(losses, key=losses.__getitem__)
    edge = best in (min(tried), max(tried))
    return Sensitivity(arm.name, tuple(means.items()), best, edge, max(losses.values()) - min(losses.values()), tuple(sorted(failed)))
