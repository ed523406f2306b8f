"""The hooks of a search in a run: they report its validations, and decide at each rung whether it goes on.

Rungs are numbers of tokens, so that trials with other batch sizes are judged after as much training. At a rung the validation split is
scored whether or not `train.validate_every` says so; like every observation this changes nothing in the run.
"""

import math
from collections.abc import Callable

from assay.errors import NonFiniteLoss
from assay.searches.file import AshaConfig
from assay.training.hook import Hook, Metrics, TrainingContext
from assay.training.state import StepResult, TrainState
from assay.variation.metric import Metric

ReportValue = Callable[[int, float], None]  # tokens, figure
PruningRule = Callable[[int, float], str | None]  # tokens, figure: why the trial stops; None: it goes on

ENDLESS = 10_000_000  # steps: more than a budget in minutes, which is no number of steps yet, will ever be


class ValidationReporter(Hook):
    """Reports the metric of each validation that the run makes by itself."""

    name = "report"

    def __init__(self, metric: Metric, report: ReportValue) -> None:
        self.metric, self.report = metric, report

    def begin(self, training: TrainingContext) -> None:
        """Keep the run, whose tokens are counted."""
        self.training = training

    def after_validation(self, step: int, metrics: Metrics) -> None:
        """Report a finite figure."""
        value = metrics.get(self.metric.name)
        if value is not None and math.isfinite(value):
            self.report(int(self.training.state.targets), value)


class AshaPruner(Hook):
    """Scores the validation split at each rung, and stops a trial that does not survive it."""

    name = "rung"

    def __init__(self, metric: Metric, asha: AshaConfig, rule: PruningRule) -> None:
        self.metric, self.asha, self.pruning_rule = metric, asha, rule
        self.steps: dict[int, int] = {}  # the tokens of each rung, by its step
        self.validations: dict[int, float] = {}  # the finite figure of the last validation that the run made by itself, by its step

    def begin(self, training: TrainingContext) -> None:
        """Find the rungs in this run's steps."""
        self.training, self.steps = training, find_rung_steps(training, self.asha)

    def is_due(self, step: int) -> bool:
        """Whether a rung is reached."""
        return step in self.steps

    def count_due(self, begin: int, end: int) -> int:
        """Count the rungs between two steps."""
        return sum(begin < step <= end for step in self.steps)

    def after_validation(self, step: int, metrics: Metrics) -> None:
        """Keep the figure: a rung at this step need not score again."""
        value = metrics.get(self.metric.name)
        self.validations = {} if value is None or not math.isfinite(value) else {step: value}

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """Judge at a rung. Raises NonFiniteLoss."""
        if not self.is_due(state.step) or state.finished:
            return
        value = self.validations[state.step] if state.step in self.validations else self.training.evaluate(self.metric.name)
        if not math.isfinite(value):
            raise NonFiniteLoss(f"step {state.step}: {self.metric.name} is {value}; lower the learning rate or lengthen the warm-up")
        reason = self.pruning_rule(self.steps[state.step], value)
        if reason is not None:
            self.training.request_stop(reason)


def find_rung_steps(training: TrainingContext, asha: AshaConfig) -> dict[int, int]:
    """Find the tokens of each rung before the end, by the first step after which so many were read."""
    rungs: dict[int, int] = {}
    tokens = asha.min_tokens
    while (step := training.count_steps(f"{tokens}tokens")) < (training.state.steps or ENDLESS):
        rungs[step] = tokens
        tokens *= asha.reduction
    return rungs
