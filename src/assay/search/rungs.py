"""What a search sees of a run while it trains: its validations, and at each rung whether it goes on.

Rungs are numbers of tokens, so that trials with other batch sizes are judged after as much training. At a rung the validation split is
scored whether or not `train.validate_every` says so; like every observation this changes nothing in the run.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from assay.errors import Interrupted, NonFiniteLoss
from assay.evaluate.figures import figures
from assay.evaluate.score import Score
from assay.experiment import steps_of
from assay.fit import Fit
from assay.search.file import AshaConfig
from assay.study.metric import Metric
from assay.study.plan import DIVERGED
from assay.train.hooks import Stateless, Validate
from assay.train.state import StepResult, TrainState

Report = Callable[[int, float], None]  # tokens, figure
Judge = Callable[[int, float], bool]  # tokens, figure: whether the trial goes on

ENDLESS = 10_000_000  # steps: more than a budget in minutes, which is no number of steps yet, will ever be


class Pruned(Interrupted):
    """The trial ends early; its run is saved and could be gone on with."""


def observe(fit: Fit, metric: Metric, report: Report, rungs: tuple[AshaConfig, Judge] | None) -> None:
    """Let a search see what a run does, and end it at a rung."""
    seen = Seen(fit, metric, report)
    if rungs is not None:
        asha, judge = rungs
        fit.hooks.insert(fit.hooks.index(fit.stop), Rungs(fit, metric, rung_steps(fit, asha), judge, seen))


def rung_steps(fit: Fit, asha: AshaConfig) -> dict[int, int]:
    """The tokens of each rung before the end, by the first step after which so many were read."""
    plan, config = fit.setup.plan, fit.experiment.config.plan
    rungs: dict[int, int] = {}
    tokens = asha.min_tokens
    while True:
        step = steps_of(f"{tokens}tokens", plan, config)
        assert step is not None
        if step >= (fit.state.steps or ENDLESS):
            return rungs
        rungs[max(1, step)] = tokens
        tokens *= asha.reduction


class Seen:
    """The last validation that a run has made by itself; each is reported."""

    def __init__(self, fit: Fit, metric: Metric, report: Report) -> None:
        self.fit, self.metric, self.report = fit, metric, report
        self.step, self.value = -1, math.nan
        validate = next(hook for hook in fit.hooks if isinstance(hook, Validate))
        self.write, validate.write = validate.write, self

    def __call__(self, line: dict[str, Any]) -> None:
        self.write(line)
        value = line["validation"].get(self.metric.name)
        if value is not None and math.isfinite(value):
            self.step, self.value = line["step"], value
            self.report(int(self.fit.state.targets), value)


class Rungs(Stateless):
    """At each rung: the figure of the validation split, and whether the trial goes on."""

    name = "rung"

    def __init__(self, fit: Fit, metric: Metric, steps: Mapping[int, int], judge: Judge, seen: Seen) -> None:
        self.fit, self.metric, self.steps, self.judge, self.seen = fit, metric, steps, judge, seen

    def due(self, step: int) -> bool:
        """Whether a rung is reached."""
        return step in self.steps

    def times(self, begin: int, end: int) -> int:
        """How many rungs lie between."""
        return sum(begin < step <= end for step in self.steps)

    def __call__(self, state: TrainState, result: StepResult) -> None:
        if not self.due(state.step) or state.finished:
            return
        tokens, value = self.steps[state.step], self._figure(state)
        if not math.isfinite(value):
            raise NonFiniteLoss(f"step {state.step}: {self.metric.name} is {value}; {DIVERGED} or lengthen the warm-up")
        if not self.judge(tokens, value):
            self.fit.save()
            raise Pruned(f"pruned at {tokens:,} tokens, step {state.step}, with {value:.4f} {self.metric.label}")

    def _figure(self, state: TrainState) -> float:
        if self.seen.step == state.step:
            return self.seen.value
        scorer = self.fit.experiment.scorer("validation", f"step {state.step}", sampled=True)
        with state.optimizer.averaged():
            return figure(scorer.score(state.learner.model), self.metric)


def figure(score: Score, metric: Metric) -> float:
    """A figure of a score that was just made."""
    tree = score.tree()
    if metric.name in tree:
        return float(tree[metric.name])
    return float(figures(score.targets, score.unit_of_target)[metric.name].value)
