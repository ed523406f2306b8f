"""The learning rate range test (Smith, arXiv 1506.01186, section 3.3): one short run whose learning rates rise until it breaks.

All rates of the optimiser are the configured ones (with their rule for the batch) times a factor that grows exponentially from step to
step. Smith's rates rise in a straight line over some epochs; the exponential rise over a hundred steps, the smoothing and the rule by which
a rate is suggested are those that fast.ai's learning rate finder made common. A loss is put down to the update before it, since it is the
first that this update can change. Smoothing lags behind by some ten steps, so the factors that are reported are somewhat too high.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from assay.core.parallel import Parallel
from assay.core.trees import Tree, flatten
from assay.errors import NonFiniteLoss, UserError
from assay.experiment.assemble import Experiment, assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.optim.schedule import Schedule
from assay.tools.progress import ShowProgress, collect_results, ignore_result, show_nothing
from assay.training.loop import train_step

SMOOTHING = 0.9  # decay of the mean loss
DIVERGENCE_RATIO = 1.5  # times the lowest smoothed loss
SUGGESTION_DIVISOR = 10  # the suggestion is so many times below the factor of the lowest loss
MIN_POINTS = 10  # points from which something can be suggested


@dataclass(frozen=True, slots=True)
class FactorRange:
    """The first and the last factor on the learning rates, and the number of updates between them. Raises UserError for no such range."""

    low: float
    high: float
    steps: int

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise UserError(f"--from {self.low:g} --to {self.high:g}: factors rise from above 0 to a larger one; give such a pair")
        if self.steps < 2:
            raise UserError(f"--steps {self.steps}: a range has at least a first and a last step; give 2 or more")

    def factor(self, step: int) -> float:
        """Compute the factor of the update in a step, counted from 0."""
        share = min(1.0, step / (self.steps - 1))
        return self.low * math.pow(self.high / self.low, share)


class RangePoint(NamedTuple):
    """The loss after one update."""

    factor: float
    loss: float  # nats a token, on the rows of the next step
    smoothed: float


class RangeSummary(NamedTuple):
    """The suggestion that follows from the points."""

    steepest: RangePoint
    lowest: RangePoint
    suggested_factor: float | None
    explanation: str  # by which rule, or why there is none


@dataclass(frozen=True)
class RangeTest:
    """The losses under rising learning rates."""

    factors: FactorRange
    configured_rates: dict[str, float]  # learning rates by their keys in the config
    points: tuple[RangePoint, ...]

    @cached_property
    def summary(self) -> RangeSummary | None:
        """The suggestion that follows from the points; None for too few of them."""
        return summarize_points(self.points)

    def rates(self, factor: float) -> dict[str, float]:
        """Compute the learning rates at a factor, by their keys in the config."""
        return {key: rate * factor for key, rate in self.configured_rates.items()}

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        summary = self.summary
        return {
            **asdict(self.factors),
            "configured_rates": self.configured_rates,
            "points": [point._asdict() for point in self.points],
            "steepest": None if summary is None else summary.steepest.factor,
            "lowest": None if summary is None else summary.lowest.factor,
            "suggestion": None if summary is None or summary.suggested_factor is None else self.rates(summary.suggested_factor),
            "rule": None if summary is None else summary.explanation,
        }


def run_range_test(
    config: ExperimentConfig, factors: FactorRange, data_dir: Path | None = None, progress: ShowProgress = show_nothing,
    on_abort: Callable[[RangeTest], object] = ignore_result,
) -> RangeTest:  # fmt: skip
    """Train a few steps with rising learning rates; nothing is kept of them.

    `on_abort` gets what was measured when an error or Ctrl-C ends it early.
    """
    with progress("preparing the text"):
        prepared = load_data(config, data_dir)
    experiment, rates = assemble(config, prepared, Parallel()), find_learning_rates(config)

    def measure() -> Iterator[RangePoint]:
        with progress(f"training up to {factors.steps} steps (Ctrl-C shows what was measured)"):
            yield from measure_losses(experiment, factors)

    return collect_results(measure(), lambda points: RangeTest(factors, rates, tuple(points)), on_abort)


def measure_losses(experiment: Experiment, factors: FactorRange) -> Iterator[RangePoint]:
    """Train, and yield a point an update; ends early where the loss diverges. The objective stays as it is at the beginning of a run."""
    state, scale = experiment.state, experiment.setup.schedule.scale
    setup = replace(experiment.setup, schedule=Schedule(lambda step, _: factors.factor(step), scale))
    state.set_budget(None)  # no share of a budget is ever used up
    mean, lowest = ExponentialMean(), math.inf
    for step in range(factors.steps + 1):
        try:
            loss = float(train_step(state, setup).terms["loss"].mean.value())
        except NonFiniteLoss:
            return
        if not math.isfinite(loss):
            return
        if step == 0:
            continue  # before any update
        smoothed = mean.add(loss)
        lowest = min(lowest, smoothed)
        yield RangePoint(factors.factor(step - 1), loss, smoothed)
        if smoothed > DIVERGENCE_RATIO * lowest:
            return


class ExponentialMean:
    """An exponential mean whose weights add up to one from the first value on."""

    def __init__(self, decay: float = SMOOTHING) -> None:
        self.decay, self.total, self.weight = decay, 0.0, 0.0

    def add(self, value: float) -> float:
        """Add a value, and return the mean."""
        self.total = self.decay * self.total + (1 - self.decay) * value
        self.weight = self.decay * self.weight + (1 - self.decay)
        return self.total / self.weight


def summarize_points(points: Sequence[RangePoint]) -> RangeSummary | None:
    """Find where the smoothed loss falls fastest and where it is lowest, and suggest a factor; None for too few points."""
    if len(points) < MIN_POINTS:
        return None
    lowest = min(points, key=lambda point: point.smoothed)
    falls = [(after.smoothed - before.smoothed, after) for before, after in pairwise(points) if after.factor <= lowest.factor]
    if not falls:
        return RangeSummary(lowest, lowest, None, "the loss only rises: begin lower, with a smaller --from")
    steepest = min(falls, key=lambda fall: fall[0])[1]
    if lowest is points[-1]:
        return RangeSummary(steepest, lowest, None, "the loss still falls where the test ends: go on higher, with a larger --to")
    return RangeSummary(steepest, lowest, lowest.factor / SUGGESTION_DIVISOR, "a tenth of the rate at which the smoothed loss is lowest")


def find_learning_rates(config: ExperimentConfig) -> dict[str, float]:
    """Find the learning rates of the config by their keys: `optimizer.lr`, `optimizer.rest.lr`."""
    settings = flatten(config.optimizer.to_dict(), "optimizer")
    return {key: float(value) for key, value in settings if key.rpartition(".")[2] == "lr"}
