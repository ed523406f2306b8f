"""The learning rate range test (Smith, arXiv 1506.01186, section 3.3): one short run whose learning rates rise until it breaks.

All rates of the optimiser are the configured ones (with their rule for the batch) times a factor that grows exponentially from step to
step. Smith's rates rise in a straight line over some epochs; the exponential rise over a hundred steps, the smoothing and the rule by which
a rate is suggested are those that fast.ai's learning rate finder made common. A loss is put down to the update before it, since it is the
first that this update can change. Smoothing lags behind by some ten steps, so the factors that are told are somewhat too high.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from assay.core.config import Tree, flatten
from assay.core.parallel import Parallel
from assay.errors import NonFiniteLoss, UserError
from assay.experiment.assemble import Experiment, assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.optim.schedule.base import Schedule
from assay.tools.progress import Progress, ignore, silent
from assay.training.step import train_step

SMOOTHING = 0.9  # decay of the mean loss
DIVERGED = 1.5  # times the lowest smoothed loss
BELOW_LOWEST = 10  # the suggestion is so many times below the factor of the lowest loss
FEWEST = 10  # points from which something can be suggested


class Sweep(NamedTuple):
    """From which factor to which, in how many updates."""

    low: float
    high: float
    steps: int

    def checked(self) -> "Sweep":
        """Itself. Raises UserError for a sweep that is none."""
        if not 0 < self.low < self.high < math.inf:
            raise UserError(f"--from {self.low:g} --to {self.high:g}: factors rise from above 0 to a larger one; give such a pair")
        if self.steps < 2:
            raise UserError(f"--steps {self.steps}: a range has at least a first and a last step; give 2 or more")
        return self

    def factor(self, step: int) -> float:
        """Of the update in a step, counted from 0."""
        share = min(1.0, step / (self.steps - 1))
        return self.low * math.pow(self.high / self.low, share)


class Point(NamedTuple):
    """What one update led to."""

    factor: float
    loss: float  # nats a token, on the rows of the next step
    smoothed: float


class Finding(NamedTuple):
    """What the points say."""

    steepest: Point
    lowest: Point
    factor: float | None  # the suggestion
    words: str  # by which rule, or why there is none


@dataclass(frozen=True)
class RangeTest:
    """The losses that rising learning rates led to."""

    sweep: Sweep
    configured: dict[str, float]  # learning rates by their keys in the config
    points: tuple[Point, ...]

    @cached_property
    def finding(self) -> Finding | None:
        """What the points say; None for too few of them."""
        return finding(self.points)

    def rates(self, factor: float) -> dict[str, float]:
        """The learning rates at a factor, by their keys in the config."""
        return {key: rate * factor for key, rate in self.configured.items()}

    def tree(self) -> Tree:
        """As plain values."""
        found = self.finding
        return {
            **self.sweep._asdict(),
            "configured": self.configured,
            "points": [point._asdict() for point in self.points],
            "steepest": None if found is None else found.steepest.factor,
            "lowest": None if found is None else found.lowest.factor,
            "suggestion": None if found is None or found.factor is None else self.rates(found.factor),
            "rule": None if found is None else found.words,
        }


def sweep_learning_rates(
    config: ExperimentConfig,
    sweep: Sweep,
    data_dir: Path | None = None,
    progress: Progress = silent,
    on_abort: Callable[[RangeTest], object] = ignore,
) -> RangeTest:
    """Train a few steps with rising learning rates; nothing is kept of them.

    `on_abort` is given what was measured when an error or Ctrl-C ends it early. Raises UserError for a sweep that is none.
    """
    sweep.checked()
    with progress("preparing the text"):
        prepared = load_data(config, data_dir)
    experiment, points = assemble(config, prepared, Parallel()), list[Point]()
    try:
        with progress(f"training up to {sweep.steps} steps (Ctrl-C shows what was measured)"):
            for point in measure(experiment, sweep):
                points.append(point)
    except BaseException:
        if points:
            on_abort(RangeTest(sweep, rates(config), tuple(points)))
        raise
    return RangeTest(sweep, rates(config), tuple(points))


def measure(experiment: Experiment, sweep: Sweep) -> Iterator[Point]:
    """Train, and yield a point an update; ends early where the loss diverges. The objective stays as it is at the beginning of a run."""
    state, scale = experiment.state, experiment.setup.schedule.scale
    setup = replace(experiment.setup, schedule=Schedule(lambda step, _: sweep.factor(step), scale))
    state.set_budget(None)  # no share of a budget is ever used up
    mean, lowest = Mean(), math.inf
    for step in range(sweep.steps + 1):
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
        yield Point(sweep.factor(step - 1), loss, smoothed)
        if smoothed > DIVERGED * lowest:
            return


class Mean:
    """An exponential mean whose weights add up to one from the first value on."""

    def __init__(self, decay: float = SMOOTHING) -> None:
        self.decay, self.total, self.weight = decay, 0.0, 0.0

    def add(self, value: float) -> float:
        """Take one more value; the mean."""
        self.total = self.decay * self.total + (1 - self.decay) * value
        self.weight = self.decay * self.weight + (1 - self.decay)
        return self.total / self.weight


def finding(points: Sequence[Point]) -> Finding | None:
    """Where the smoothed loss falls fastest and where it is lowest, and what follows from it; None for too few points."""
    if len(points) < FEWEST:
        return None
    lowest = min(points, key=lambda point: point.smoothed)
    falls = [(after.smoothed - before.smoothed, after) for before, after in pairwise(points) if after.factor <= lowest.factor]
    if not falls:
        return Finding(lowest, lowest, None, "the loss only rises: begin lower, with a smaller --from")
    steepest = min(falls, key=lambda fall: fall[0])[1]
    if lowest is points[-1]:
        return Finding(steepest, lowest, None, "the loss still falls where the test ends: go on higher, with a larger --to")
    return Finding(steepest, lowest, lowest.factor / BELOW_LOWEST, "a tenth of the rate at which the smoothed loss is lowest")


def rates(config: ExperimentConfig, factor: float = 1.0) -> dict[str, float]:
    """The learning rates of the config by their keys, times a factor: `optimizer.lr`, `optimizer.rest.lr`."""
    found = flatten(config.optimizer.tree(), "optimizer")
    return {key: float(value) * factor for key, value in found if key.rpartition(".")[2] == "lr"}
