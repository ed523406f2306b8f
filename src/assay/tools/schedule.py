"""Trace the learning rates of a recipe over its budget, without training anything."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from assay.core.torch_internals import FakeTensorMode
from assay.core.trees import Tree
from assay.experiment.assemble import budget_in_steps, build_batches
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.experiment.vocabulary import vocabulary_size
from assay.nn.linear import parameters_by_role
from assay.optim.base import Optimizer
from assay.optim.schedule import Schedule
from assay.training.budget import Budget
from assay.training.learner import Learner

NOMINAL_STEPS = 1000  # drawn where their number is measured only when a run begins
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)  # of the budget, besides the highest and the last
MAX_SEARCHED = 100_000  # steps at most, to find the highest factor


@dataclass(frozen=True)
class ScheduleCurve:
    """A schedule over the steps of a budget."""

    config: Tree  # of the schedule
    budget: str
    batch: int  # rows in a step
    schedule: Schedule
    rates: Callable[[float], dict[str, float]]  # of each part of the optimiser, by the factor
    steps: int
    steps_known: bool  # whether the budget is so many steps, or they are only an example
    misfits: tuple[str, ...] = ()  # parts of the curve that a run of so many steps does not reach

    def factor(self, step: int) -> float:
        """Compute the factor of one step, counted from 0."""
        return self.schedule.factor(step, step / self.steps)

    def key_steps(self) -> list[int]:
        """Choose the steps whose figures are printed: some shares of the budget, the highest and the last."""
        highest = max(range(0, self.steps, max(1, self.steps // MAX_SEARCHED)), key=self.factor)
        return sorted({*(int(share * self.steps) for share in SHARES), highest, self.steps - 1})

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        values = [
            {"step": step, "share": step / self.steps, "factor": (factor := self.factor(step)), "lr": self.rates(factor)}
            for step in self.key_steps()
        ]
        return {
            "schedule": self.config,
            "budget": self.budget,
            "steps": self.steps if self.steps_known else None,
            "drawn_steps": self.steps,
            "batch_factor": self.schedule.scale,
            "values": values,
            "notes": list(self.misfits),
        }


def trace_schedule(config: ExperimentConfig, data_dir: Path | None = None) -> ScheduleCurve:
    """Find the learning rates of every step. Only a budget in epochs, tokens or FLOPs needs the text."""
    budget, steps = Budget.parse(config.train.budget), None
    optimizer = build_optimizer(config)
    if budget.unit in ("epochs", "tokens", "flops"):
        prepared = load_data(config, data_dir)
        batches = build_batches(config, prepared)
        steps = budget_in_steps(config, batches, prepared.tokenizer.vocab_size)
    elif budget.unit == "steps":
        steps = budget.steps(1, 1, 1)
    batch = config.batches.size
    return ScheduleCurve(
        config.schedule.to_dict(), config.train.budget, batch, config.schedule.build(batch), optimizer.learning_rates,
        steps or NOMINAL_STEPS, steps is not None, tuple(config.schedule.list_misfits(steps)) if steps else (),
    )  # fmt: skip


def build_optimizer(config: ExperimentConfig) -> Optimizer:
    """Build the optimiser of an experiment for a model that takes no memory."""
    with FakeTensorMode():
        model = config.model.build(vocabulary_size(config), torch.Generator().manual_seed(0))
        parameters = list(parameters_by_role(Learner(model, config.objective)))
    return config.optimizer.build(parameters)  # outside, as some optimisers try themselves out on tensors of their own
