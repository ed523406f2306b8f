"""Budgets and rhythms of an experiment in steps."""

from assay.data.plan import Plan, PlanConfig
from assay.experiment.config import ExperimentConfig
from assay.training.budget import Budget
from assay.training.cost import step_flops


def budgeted_steps(config: ExperimentConfig, plan: Plan, vocabulary: int) -> int | None:
    """The steps of the whole budget; None for minutes. For FLOPs a step is traced."""
    budget = Budget.parse(config.train.budget)
    if budget.unit == "flops":
        shape = (config.plan.batch, config.plan.window)
        return budget.steps_from_flops(step_flops(config.model, config.objective, vocabulary, shape))
    return steps_of(config.train.budget, plan, config.plan)


def steps_of(text: str, plan: Plan, config: PlanConfig) -> int | None:
    """A budget or a rhythm in steps, epochs or tokens as steps of a plan; None for minutes."""
    padded = config.policy == "documents"  # rows of which a step has as many tokens as an epoch has in the mean
    per_step = plan.targets_per_epoch / plan.steps_per_epoch if padded else config.window * config.batch
    return Budget.parse(text).steps(plan.steps_per_epoch, plan.targets_per_epoch, per_step)
