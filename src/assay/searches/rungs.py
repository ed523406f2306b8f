"""What a search sees of a run while it trains: its validations, and at each rung whether it goes on.

Rungs are numbers of tokens, so that trials with other batch sizes are judged after as much training. At a rung the validation split is
scored whether or not `train.validate_every` says so; like every observation this changes nothing in the run.
"""

import math
from collections.abc import Callable

from assay.errors import NonFiniteLoss
from assay.searches.file import AshaConfig
from assay.training.hook import Figures, Hook, Training
from assay.training.state import StepResult, TrainState
from assay.variation.metric import Metric

Report = Callable[[int, float], None]  # tokens, figure
Judge = Callable[[int, float], str | None]  # tokens, figure: why the trial stops; None: it goes on

ENDLESS = 10_000_000  # steps: more than a budget in minutes, which is no number of steps yet, will ever be


class Reporter(Hook):
    """Reports the metric of each validation that the run makes by itself."""

    name = "report"

    def __init__(self, metric: Metric, report: Report) -> None:
        self.metric, self.report = metric, report

    def begin(self, training: Training) -> None:
        """Remember whose tokens are counted."""
        self.training = training

    def after_validation(self, step: int, figures: Figures) -> None:
        """Report a finite figure."""
        value = figures.get(self.metric.name)
        if value is not None and math.isfinite(value):
            self.report(int(self.training.state.targets), value)


class Rungs(Hook):
    """At each rung: the figure of the validation split, and whether the trial goes on."""

    name = "rung"

    def __init__(self, metric: Metric, asha: AshaConfig, judge: Judge) -> None:
        self.metric, self.asha, self.judge = metric, asha, judge
        self.steps: dict[int, int] = {}  # the tokens of each rung, by its step
        self.validated: tuple[int, float] | None = None  # the last validation that the run made by itself: its step and figure

    def begin(self, training: Training) -> None:
        """Find the rungs in this run's steps."""
        self.training, self.steps = training, rung_steps(training, self.asha)

    def due(self, step: int) -> bool:
        """Whether a rung is reached."""
        return step in self.steps

    def times(self, begin: int, end: int) -> int:
        """How many rungs lie between."""
        return sum(begin < step <= end for step in self.steps)

    def after_validation(self, step: int, figures: Figures) -> None:
        """Keep the figure: a rung at this step need not score again."""
        value = figures.get(self.metric.name)
        self.validated = None if value is None or not math.isfinite(value) else (step, value)

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """Judge at a rung. Raises NonFiniteLoss."""
        if not self.due(state.step) or state.finished:
            return
        known = self.validated is not None and self.validated[0] == state.step
        value = self.validated[1] if self.validated is not None and known else self.training.measure(self.metric.name)
        if not math.isfinite(value):
            raise NonFiniteLoss(f"step {state.step}: {self.metric.name} is {value}; lower the learning rate or lengthen the warm-up")
        reason = self.judge(self.steps[state.step], value)
        if reason is not None:
            self.training.request_stop(reason)


def rung_steps(training: Training, asha: AshaConfig) -> dict[int, int]:
    """The tokens of each rung before the end, by the first step after which so many were read."""
    rungs: dict[int, int] = {}
    tokens = asha.min_tokens
    while (step := training.count_steps(f"{tokens}tokens")) < (training.state.steps or ENDLESS):
        rungs[step] = tokens
        tokens *= asha.reduction
    return rungs
