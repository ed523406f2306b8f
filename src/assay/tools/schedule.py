"""The learning rates of a recipe over its budget, without training anything."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from assay.core.config import Tree
from assay.core.torch_internals import FakeTensorMode
from assay.experiment.budget import budgeted_steps
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.nn.linear import parameters_by_role
from assay.optim.base import Optimizer
from assay.optim.schedule.base import Schedule
from assay.training.budget import Budget
from assay.training.learner import Learner

NOMINAL_STEPS = 1000  # drawn where only a measurement can tell how many there will be
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)  # of the budget, besides the highest and the last
LOOKED_AT = 100_000  # steps at most, to find the highest factor


@dataclass(frozen=True)
class ScheduleCurve:
    """A schedule over the steps of a budget."""

    config: Tree  # of the schedule
    budget: str
    batch: int  # rows in a step
    schedule: Schedule
    rates: Callable[[float], dict[str, float]]  # of each part of the optimiser, by the factor
    steps: int
    known: bool  # whether the budget is so many steps, or they are only an example

    def factor(self, step: int) -> float:
        """Of one step, counted from 0."""
        return self.schedule.factor(step, step / self.steps)

    def spread(self, count: int) -> list[int]:
        """So many steps at equal distances, from the first to the last; each once where there are fewer."""
        count = min(count, self.steps)
        return [round(index * (self.steps - 1) / max(1, count - 1)) for index in range(count)]

    def marked(self) -> list[int]:
        """The steps whose figures are told: some shares of the budget, the highest and the last."""
        highest = max(range(0, self.steps, max(1, self.steps // LOOKED_AT)), key=self.factor)
        return sorted({*(int(share * self.steps) for share in SHARES), highest, self.steps - 1})

    def tree(self) -> Tree:
        """As plain values."""
        values = [
            {"step": step, "share": step / self.steps, "factor": (factor := self.factor(step)), "lr": self.rates(factor)}
            for step in self.marked()
        ]
        return {
            "schedule": self.config,
            "budget": self.budget,
            "steps": self.steps if self.known else None,
            "drawn_steps": self.steps,
            "batch_factor": self.schedule.scale,
            "values": values,
        }


def trace_schedule(config: ExperimentConfig, data_dir: Path | None = None) -> ScheduleCurve:
    """Find the learning rates of every step. Only a budget in epochs, tokens or FLOPs needs the text."""
    budget, steps = Budget.parse(config.train.budget), None
    optimizer = build_optimizer(config)
    if budget.unit in ("epochs", "tokens", "flops"):
        prepared = load_data(config, data_dir)
        plan = config.plan.build(prepared.parts["train"], prepared.tokenizer.end, config.train.seed, prepared.fingerprint)
        steps = budgeted_steps(config, plan, prepared.tokenizer.size)
    elif budget.unit == "steps":
        steps = budget.steps(1, 1, 1)
    return ScheduleCurve(
        config.schedule.tree(), config.train.budget, config.plan.batch, config.schedule.build(config.plan.batch), optimizer.rates,
        steps or NOMINAL_STEPS, steps is not None,
    )  # fmt: skip


def build_optimizer(config: ExperimentConfig) -> Optimizer:
    """The optimiser of an experiment for a model that takes no memory."""
    with FakeTensorMode():
        model = config.model.build(config.tokenizer.expected_size, torch.Generator().manual_seed(0))
        parameters = list(parameters_by_role(Learner(model, config.objective)))
    return config.optimizer.build(parameters)  # outside, as some optimisers try themselves out on tensors of their own
