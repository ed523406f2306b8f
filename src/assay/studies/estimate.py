"""Estimating how long the runs of a study will take: from those that are finished or, before the first is, from a few steps of each arm.

seconds(run) = seconds a FLOP * (tokens of training * FLOPs a token + tokens that are scored * a third of that)

An arm with a finished run will take as long again. The finished runs also show by how much the others will exceed what was measured, as
workers slow each other down. A budget in minutes takes these minutes, and the scores besides. Samples, checkpoints and the start of a
process are left out until a finished run includes them.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any, Self

import torch

from assay.core.parallel import Parallel
from assay.data.prepare import PreparedText
from assay.errors import AssayError
from assay.experiment.assemble import assemble
from assay.experiment.config import ExperimentConfig
from assay.jobs.folder import JobStatus
from assay.studies.plan import PlannedArm, PlannedJob, StudyPlan
from assay.trainer.scoring import FINAL_SCORES
from assay.training.budget import Budget
from assay.training.timing import time_steps

MAX_STEPS, MAX_STEP_SECONDS = 6, 1.0  # of an arm, the first one left out; seconds after which no further one is taken
MAX_SECONDS = 10.0  # seconds after which no further arm is measured, and the others count by their FLOPs


@dataclass(frozen=True, slots=True)
class TextSizes:
    """The sizes of the text of the base."""

    train: int  # targets
    validation: int
    test: int
    validation_bytes: int

    @classmethod
    def from_prepared(cls, prepared: PreparedText) -> Self:
        """Read the sizes of the parts of a text."""
        parts = prepared.parts
        test = parts["test"].target_count if "test" in parts else 0
        return cls(parts["train"].target_count, parts["validation"].target_count, test, parts["validation"].byte_count)


@dataclass(frozen=True, slots=True)
class RunCost:
    """The work of a run."""

    training_flops: float  # FLOPs; 0 for a budget in minutes
    scoring_flops: float  # FLOPs, of everything that is scored on validation
    minutes: float = 0.0

    @property
    def flops(self) -> float:
        """FLOPs, those of the minutes left out."""
        return self.training_flops + self.scoring_flops

    def seconds(self, rate: float) -> float:
        """Estimate the seconds of the run at a rate in seconds a FLOP."""
        return 60 * self.minutes + rate * self.flops


@dataclass
class Estimate:
    """The estimated seconds of each run."""

    plan: StudyPlan
    sizes: TextSizes
    rates: dict[str, float] = field(default_factory=dict)  # seconds a FLOP of the arms that were measured
    finished_seconds: dict[str, list[float]] = field(default_factory=dict)  # seconds of the finished runs of each arm
    slowdown: float = 1.0  # how many times as long as measured the runs take

    def measure_rates(self, prepared: PreparedText, threads: int) -> None:
        """Measure the rates of the arms without a finished run, if they read the text of the base and while the time suffices.

        An arm that cannot take a step has no rate; its runs will give the reason.
        """
        started, self.rates = time.perf_counter(), {}
        for arm in self.plan.arms:
            if time.perf_counter() - started > MAX_SECONDS:
                break
            if arm.name not in self.finished_seconds and _text_settings(arm) == _text_settings(self.plan.arms[0]):
                with suppress(AssayError, RuntimeError, MemoryError):
                    self.rates[arm.name] = _measure_rate(arm, prepared, threads)

    def update(self, plan: StudyPlan, statuses: Sequence[JobStatus[PlannedJob]]) -> None:
        """Take over a plan that was read again, and the seconds of its finished runs."""
        self.plan, self.finished_seconds = plan, {}
        for one in statuses:
            spent: Mapping[str, float] = one.status.get("seconds") or {}
            if one.state == "finished" and spent:
                self.finished_seconds.setdefault(one.job.arm, []).append(sum(spent.values()))
        measured = [name for name in self.finished_seconds if name in self.rates]
        expected = sum(len(self.finished_seconds[name]) * self._run_cost(name).flops * self.rates[name] for name in measured)
        actual = sum(map(self._counted_seconds, measured))
        self.slowdown = actual / expected if expected and actual > 0 else 1.0

    @property
    def default_rate(self) -> float:
        """Seconds a FLOP of an arm of which nothing is known: as those of finished runs, else as measured."""
        work = sum(len(seconds) * self._run_cost(name).flops for name, seconds in self.finished_seconds.items())
        actual = sum(map(self._counted_seconds, self.finished_seconds))
        if work and actual > 0:
            return actual / work
        return fmean(self.rates.values()) if self.rates else 0.0

    @property
    def has_basis(self) -> bool:
        """Whether anything is known of how long a run takes."""
        return bool(self.finished_seconds or self.rates)

    def _counted_seconds(self, arm: str) -> float:
        """Sum the seconds of the finished runs of an arm, without the minutes of their budgets."""
        return sum(self.finished_seconds[arm]) - 60 * len(self.finished_seconds[arm]) * self._run_cost(arm).minutes

    def run_seconds(self, arm: str) -> float:
        """Seconds of one run of an arm."""
        if arm in self.finished_seconds:
            return fmean(self.finished_seconds[arm])
        return self._run_cost(arm).seconds(self.rates[arm] * self.slowdown if arm in self.rates else self.default_rate)

    def _run_cost(self, arm: str) -> RunCost:
        return estimate_run_cost(self.plan.arm(arm), self.sizes)

    def seconds_left(self, statuses: Sequence[JobStatus[PlannedJob]], workers: int) -> float:
        """Estimate the seconds until all runs are made, with this number of workers, and scored on the test part where that is reported."""
        seconds = [self._remaining_seconds(one) for one in statuses if not one.ended]
        following = sum(count * self.run_seconds(arm) for arm, count in count_following_runs(self.plan).items())
        return max([0.0, *seconds, (sum(seconds) + following) / workers]) + self._scoring_seconds(statuses)

    def _remaining_seconds(self, one: JobStatus[PlannedJob]) -> float:
        steps = one.status.get("steps") if one.state != "waiting" else None
        done = one.status.get("step", 0) / steps if steps else 0.0
        return self.run_seconds(one.job.arm) * (1 - min(1.0, done))

    def _scoring_seconds(self, statuses: Sequence[JobStatus[PlannedJob]]) -> float:
        study = self.plan.study
        if study.report_on != "test" or all(one.ended for one in statuses):
            return 0.0
        runs = {arm.name: len(study.seeds_of(arm.name)) for arm in self.plan.arms}
        return sum(runs[arm.name] * self.default_rate * self.sizes.test * arm.flops_per_token / 3 for arm in self.plan.arms)


def count_following_runs(plan: StudyPlan) -> dict[str, int]:
    """Count the runs of each arm that will follow once its learning rate is chosen."""
    further = {arm.name: len(set(plan.study.seeds_of(arm.name)) - set(plan.study.tuning_seeds)) for arm in plan.arms}
    return {name: count for name, count in further.items() if name not in plan.chosen_factors and count}


def estimate_run_cost(arm: PlannedArm, sizes: TextSizes) -> RunCost:
    """Estimate the work of a run of an arm."""
    config, per_token = arm.config, arm.flops_per_token
    budget = Budget.parse(config.train.budget)
    minutes = budget.amount if budget.unit == "minutes" else 0.0
    trained = _tokens(config.train.budget, config, per_token, sizes)
    interval = _tokens(config.train.validate_every, config, per_token, sizes)
    share = min(1.0, config.train.validation_bytes / sizes.validation_bytes) if sizes.validation_bytes else 1.0
    validations = FINAL_SCORES + (share * trained / interval if interval else 0.0)
    if config.train.training_bytes is not None and interval and sizes.validation_bytes:
        validations += config.train.training_bytes / sizes.validation_bytes * trained / interval
    if config.train.full_validate_every is not None:
        validations += trained / _tokens(config.train.full_validate_every, config, per_token, sizes)
    return RunCost(trained * per_token, validations * sizes.validation * per_token / 3, minutes)


def _text_settings(arm: PlannedArm) -> tuple[Any, ...]:
    return arm.config.corpus, arm.config.split, arm.config.tokenizer


def _measure_rate(arm: PlannedArm, prepared: PreparedText, threads: int) -> float:
    """Time a few steps, which are thrown away, on as many threads as a worker will have."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        experiment = assemble(arm.config, prepared, Parallel())
        _, *seconds = time_steps(experiment.state, experiment.setup, 2, MAX_STEPS, MAX_STEP_SECONDS)
        return median(seconds) / (max(1, arm.flops_per_token) * arm.config.batches.size * arm.config.batches.window)
    finally:
        torch.set_num_threads(before)


def _tokens(text: str, config: ExperimentConfig, flops_per_token: int, sizes: TextSizes) -> float:
    """Convert an amount of training or an interval to tokens; 0 for minutes."""
    amount, unit = Budget.parse(text)
    step, flop = config.batches.size * config.batches.window, 1 / max(1, flops_per_token)
    return amount * {"steps": step, "epochs": sizes.train, "tokens": 1.0, "flops": flop, "minutes": 0.0}[unit]
