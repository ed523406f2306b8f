"""Compute the learning rates that a run really uses: after muP, the factors by role, the rule for the batch, and the schedule."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assay.experiment.config import ExperimentConfig
from assay.nn.linear import ParameterInfo
from assay.training.budget import Budget

MANY_STEPS = 10**9  # for a budget whose steps depend on the text: a run in which any warm-up ends


@dataclass(frozen=True, slots=True)
class LearningRates:
    """The learning rates of a run."""

    highest: dict[str, tuple[float, ...]]  # by role, in ascending order: several where they depend on a matrix's width
    last_share: float | None  # the rate at the end as a share of the highest; None where it depends on the text
    batch_factor: float  # of the rule for the batch, which `highest` has


def compute_learning_rates(config: ExperimentConfig, parameters: Sequence[ParameterInfo]) -> LearningRates | None:
    """Compute the learning rates of a run with these parameters; None for an optimiser that does not say."""
    budget, schedule = Budget.parse(config.train.budget), config.schedule
    known = budget.unit == "steps"
    steps = math.ceil(budget.amount) if known else MANY_STEPS
    highest, batch_factor = schedule.highest_factor(steps), schedule.build(config.batches.size).scale
    rates: dict[str, set[float]] = {}
    for parameter in parameters:
        rate = config.optimizer.learning_rate(parameter)
        if rate is None:
            return None
        rates.setdefault(parameter.role, set()).add(rate * batch_factor * highest)
    last, earlier = (schedule.factor(step, (steps - 1) / steps if known else 1.0) for step in (steps - 1, steps // 2))
    told = highest > 0 and (known or last == earlier)  # else the factor depends on the step itself
    return LearningRates({role: tuple(sorted(found)) for role, found in rates.items()}, last / highest if told else None, batch_factor)
