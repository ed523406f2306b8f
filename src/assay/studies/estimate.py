"""How long the runs of a study will take: from those that are finished or, before the first is, from a few steps of each arm.

seconds(run) = seconds a FLOP * (tokens of training * FLOPs a token + tokens that are scored * a third of that)

An arm of which a run is finished takes as long again, and tells how much longer than measured the others will take: workers disturb each
other. A budget in minutes takes these minutes, and the scores besides. Samples, checkpoints and the start of a process are left out until
they have been measured with a finished run.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any, Self

import torch

from assay.core.devices import synchronize
from assay.core.parallel import Parallel
from assay.data.prepare import Prepared
from assay.errors import AssayError
from assay.experiment.assemble import assemble
from assay.experiment.config import ExperimentConfig
from assay.jobs.folder import JobStatus
from assay.studies.plan import Plan, PlannedArm, PlannedJob
from assay.trainer.final_scores import FINAL_SCORES
from assay.training.budget import Budget
from assay.training.step import train_step

STEPS, LONGEST = 6, 1.0  # of an arm, the first one left out; seconds after which no further one is begun
ENOUGH = 10.0  # seconds after which no further arm is measured, and the others count by their FLOPs


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long the text of the base is."""

    train: int  # targets
    validation: int
    test: int
    validation_bytes: int

    @classmethod
    def of(cls, prepared: Prepared) -> Self:
        """Of the parts of a text."""
        parts = prepared.parts
        test = parts["test"].target_count if "test" in parts else 0
        return cls(parts["train"].target_count, parts["validation"].target_count, test, parts["validation"].bytes)


@dataclass(frozen=True, slots=True)
class Load:
    """What a run has to do."""

    training: float  # FLOPs; 0 for a budget in minutes
    scoring: float  # FLOPs, of everything that is scored on validation
    minutes: float = 0.0

    @property
    def work(self) -> float:
        """FLOPs, those of the minutes left out."""
        return self.training + self.scoring

    def seconds(self, rate: float) -> float:
        """At so many seconds a FLOP."""
        return 60 * self.minutes + rate * self.work


@dataclass
class Estimate:
    """The seconds of each run. `rates` are seconds a FLOP of the arms that were measured."""

    plan: Plan
    sizes: Sizes
    rates: Mapping[str, float] = field(default_factory=dict)
    taken: dict[str, list[float]] = field(default_factory=dict)  # seconds of the finished runs of each arm
    slower: float = 1.0  # runs take so many times as long as measured

    def follow(self, plan: Plan) -> None:
        """Go by a plan that was read anew."""
        self.plan = plan

    def measure(self, prepared: Prepared, threads: int) -> None:
        """Time some steps of each arm of which no run is finished."""
        self.rates = measured_rates(self.plan, prepared, threads, self.taken)

    def learn(self, statuses: Sequence[JobStatus[PlannedJob]]) -> None:
        """Take over what finished runs took."""
        self.taken = {}
        for one in statuses:
            spent: Mapping[str, float] = one.status.get("seconds") or {}
            if one.state == "finished" and spent:
                self.taken.setdefault(one.job.arm, []).append(sum(spent.values()))
        known = [name for name in self.taken if name in self.rates]
        expected = sum(len(self.taken[name]) * self._load(name).work * self.rates[name] for name in known)
        really = sum(sum(self.taken[name]) - 60 * len(self.taken[name]) * self._load(name).minutes for name in known)
        self.slower = really / expected if expected and really > 0 else 1.0

    @property
    def rate(self) -> float:
        """Seconds a FLOP of an arm of which nothing is known: as those of finished runs, else as measured."""
        work = sum(len(taken) * self._load(name).work for name, taken in self.taken.items())
        seconds = sum(sum(taken) - 60 * len(taken) * self._load(name).minutes for name, taken in self.taken.items())
        if work and seconds > 0:
            return seconds / work
        return fmean(self.rates.values()) if self.rates else 0.0

    def run(self, arm: str) -> float:
        """Seconds of one run of an arm."""
        if arm in self.taken:
            return fmean(self.taken[arm])
        return self._load(arm).seconds(self.rates[arm] * self.slower if arm in self.rates else self.rate)

    def _load(self, arm: str) -> "Load":
        return load_of(self.plan.arm(arm), self.sizes)

    def left(self, statuses: Sequence[JobStatus[PlannedJob]], workers: int) -> float:
        """Seconds until everything is made, with so many workers at once, and scored on the test part where that is reported."""
        longest, total = 0.0, 0.0
        for one in statuses:
            if not one.ended:
                status = one.status
                done = status.get("step", 0) / status["steps"] if status.get("steps") and one.state != "waiting" else 0.0
                seconds = self.run(one.job.arm) * (1 - min(1.0, done))
                longest, total = max(longest, seconds), total + seconds
        for arm, count in to_come(self.plan).items():
            total += count * self.run(arm)
        return max(longest, total / workers) + self._final(statuses)

    def _final(self, statuses: Sequence[JobStatus[PlannedJob]]) -> float:
        study = self.plan.study
        if study.report_on != "test" or all(one.ended for one in statuses):
            return 0.0
        return sum(len(study.seeds) * self.rate * self.sizes.test * arm.flops_per_token / 3 for arm in self.plan.arms)


def to_come(plan: Plan) -> dict[str, int]:
    """How many runs of each arm will follow once its learning rate is chosen."""
    further = len(set(plan.study.seeds) - set(plan.study.tuning_seeds))
    return {arm.name: further for arm in plan.arms if arm.name not in plan.chosen and further}


def load_of(arm: PlannedArm, sizes: Sizes) -> Load:
    """What a run of an arm has to do."""
    config, per_token = arm.config, arm.flops_per_token
    budget = Budget.parse(config.train.budget)
    minutes = budget.amount if budget.unit == "minutes" else 0.0
    trained = _tokens(config.train.budget, config, per_token, sizes)
    rhythm = _tokens(config.train.validate_every, config, per_token, sizes)
    share = min(1.0, config.train.validation_bytes / sizes.validation_bytes) if sizes.validation_bytes else 1.0
    validations = FINAL_SCORES + (share * trained / rhythm if rhythm else 0.0)
    return Load(trained * per_token, validations * sizes.validation * per_token / 3, minutes)


def measured_rates(plan: Plan, prepared: Prepared, threads: int, known: Collection[str] = ()) -> dict[str, float]:
    """Seconds a FLOP of the arms that are not `known`, as far as they read the text of the base and the time suffices.

    An arm that cannot take a step has no rate; its runs will say why.
    """
    began, rates = time.perf_counter(), {}
    for arm in plan.arms:
        if time.perf_counter() - began > ENOUGH:
            break
        if arm.name not in known and _text(arm) == _text(plan.arms[0]):
            with suppress(AssayError, RuntimeError, MemoryError):
                rates[arm.name] = _measured(arm, prepared, threads)
    return rates


def _text(arm: PlannedArm) -> tuple[Any, ...]:
    return arm.config.corpus, arm.config.split, arm.config.tokenizer


def _measured(arm: PlannedArm, prepared: Prepared, threads: int) -> float:
    """Of a few steps, thrown away, on as many threads as a worker will have."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        experiment = assemble(arm.config, prepared, Parallel())
        began = time.perf_counter()
        taken: list[float] = []
        while len(taken) < 2 or (len(taken) < STEPS and time.perf_counter() - began < LONGEST):
            at = time.perf_counter()
            train_step(experiment.state, experiment.setup)
            synchronize(experiment.setup.device)
            taken.append(time.perf_counter() - at)
        return median(taken[1:]) / (max(1, arm.flops_per_token) * arm.config.plan.batch * arm.config.plan.window)
    finally:
        torch.set_num_threads(before)


def _tokens(text: str, config: ExperimentConfig, flops_per_token: int, sizes: Sizes) -> float:
    """An amount of training or a rhythm in tokens; 0 for minutes."""
    amount, unit = Budget.parse(text)
    per = {
        "steps": config.plan.batch * config.plan.window,
        "epochs": sizes.train,
        "tokens": 1.0,
        "flops": 1 / max(1, flops_per_token),
        "minutes": 0.0,
    }
    return amount * per[unit]
