"""The plan of a study: its arms, and the runs to be made. Written into the study's folder, and read from there by whoever works on it.

study.toml        the study as resolved
plan.json         arms, jobs, what was refused
jobs/<run>.toml   the whole config of each run: `assay train jobs/<run>.toml` repeats it
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, Self

from assay.core import recipe
from assay.core.config import Tree
from assay.core.files import write_text
from assay.errors import ConfigError, RunError
from assay.evaluation.stored import read_stored
from assay.experiment.config import ExperimentConfig
from assay.jobs.job import JOBS, Job
from assay.runs.directory import RunDirectory
from assay.runs.provenance import code_version
from assay.studies.file import StudyConfig
from assay.variation.metric import METRICS
from assay.variation.names import run_name
from assay.variation.rates import scaled_rates

STUDY, PLAN = "study.toml", "plan.json"
BASE = "base"  # the name of the arm that all others differ from


@dataclass(frozen=True, slots=True)
class PlannedArm:
    """One configuration, apart from seeds and tried learning rates."""

    name: str  # `base`, `mixer=local window=64`, or the label of a variant
    axis: str | None  # the key that is varied; None for the base and where several are
    values: Tree  # the declared keys and what they are set to, as written
    config: ExperimentConfig  # of the first seed, with learning rates as they are
    solved: Tree  # keys that matching has set, among train.budget and model.width
    parameters: int
    flops_per_token: int  # of training, forward and backward
    state_bytes: int  # that a text of `window` tokens leaves while it is generated, in float32

    @property
    def window(self) -> int:
        """Tokens of a row."""
        return self.config.plan.window

    @property
    def vocabulary(self) -> int:
        """V that a large enough text gives."""
        return self.config.tokenizer.expected_size

    def tree(self) -> Tree:
        """As plain values."""
        plain = {key: getattr(self, key) for key in self.__slots__}
        return {**plain, "config": self.config.tree(), "window": self.window, "vocabulary": self.vocabulary}

    @classmethod
    def of(cls, tree: Tree) -> Self:
        """The arm whose `tree()` this is."""
        return cls(**{**{key: tree[key] for key in cls.__slots__}, "config": ExperimentConfig.make(tree["config"])})


@dataclass(frozen=True, slots=True)
class PlannedJob(Job):
    """One run to be made, and what it is in the study."""

    arm: str
    seed: int
    lr_factor: float
    tuning: bool  # whether it takes part in choosing the factor

    def entry(self) -> Tree:
        """As plain values, without the config, which has a file of its own."""
        return {"run": self.run, "arm": self.arm, "seed": self.seed, "lr_factor": self.lr_factor, "tuning": self.tuning}


class Refused(NamedTuple):
    """A combination that cannot be built, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study is going to do."""

    name: str
    scale: str | None
    study: StudyConfig
    arms: tuple[PlannedArm, ...]  # the base first
    jobs: tuple[PlannedJob, ...]
    refused: tuple[Refused, ...]
    chosen: Mapping[str, float]  # by arm: the factor on its learning rates, as soon as it is known
    code: str = ""  # that made the plan

    @property
    def folder_name(self) -> str:
        """The study's folder among runs: its name, and its scale where there is one."""
        return "-".join(filter(None, (self.name, self.scale)))

    @property
    def base(self) -> ExperimentConfig:
        """What every arm differs from."""
        return self.arms[0].config

    def arm(self, name: str) -> PlannedArm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def of_arm(self, name: str) -> tuple[PlannedJob, ...]:
        """The runs of an arm."""
        return tuple(job for job in self.jobs if job.arm == name)

    def final(self, name: str) -> tuple[PlannedJob, ...]:
        """The runs of an arm that are reported: one a seed, with the chosen factor; none while that is not known."""
        factor = self.chosen.get(name)
        found = {job.seed: job for job in self.of_arm(name) if job.lr_factor == factor}
        return tuple(found[seed] for seed in self.study.seeds if seed in found)

    @property
    def closeness(self) -> str | None:
        """How near the arms come to the base's parameters, in words; None where these are not matched."""
        if "parameters" not in self.study.match:
            return None
        wanted = self.arms[0].parameters
        worst = max(self.arms, key=lambda arm: abs(arm.parameters - wanted))
        share = abs(worst.parameters - wanted) / wanted
        return (
            f"parameters are equal within {share:.1%}: the base has {wanted:,}, farthest from it is {worst.name} with {worst.parameters:,}"
        )

    def grown(self, folder: Path) -> Self:
        """The plan with the runs that follow from those which are done in `folder`: all seeds with the best factor of each arm.

        Best is the lowest mean over the tuning seeds of the study's metric on validation; a run that diverged counts as the worst. It
        follows from what is on disk alone, so that all who work on a study agree.
        """
        if not self.study.tuned:
            return self
        chosen = dict(self.chosen)
        for arm in self.arms:
            if arm.name not in chosen and (factor := self._best_factor(arm, folder)) is not None:
                chosen[arm.name] = factor
        jobs = list(self.jobs)
        known = {job.run for job in jobs}
        for arm in self.arms:
            if arm.name in chosen:
                jobs += [job for job in jobs_of(arm, self.study.seeds, (chosen[arm.name],), tuning=False) if job.run not in known]
        return replace(self, jobs=tuple(jobs), chosen=chosen)

    def _best_factor(self, arm: PlannedArm, folder: Path) -> float | None:
        """None while a run is missing, and where every one diverged."""
        figures: dict[float, list[float]] = {factor: [] for factor in self.study.lr_factors}
        for job in self.of_arm(arm.name):
            if not job.tuning:
                continue
            figure = _figure(RunDirectory(folder / job.run), self.study)
            if figure is None:
                return None
            figures[job.lr_factor].append(figure)
        means = {factor: fmean(values) for factor, values in figures.items()}
        best = min(means, key=lambda factor: (means[factor], abs(factor - 1), factor))
        return best if means[best] < inf else None

    def tree(self) -> Tree:
        """As plain values, without the configs of jobs."""
        study = self.study
        said = {
            key: getattr(study, key)
            for key in ("question", "metric", "mode", "match", "seeds", "lr_factors", "tuning_seeds", "checkpoint", "report_on")
        }
        return {
            "name": self.name, "scale": self.scale, **said, "code": self.code, "chosen": dict(self.chosen),
            "arms": [arm.tree() for arm in self.arms], "jobs": [job.entry() for job in self.jobs],
            "refused": [refused._asdict() for refused in self.refused],
        }  # fmt: skip

    def write(self, folder: Path) -> None:
        """Write the plan into a study's folder. Each file appears whole; plan.json comes last, when all that it names is there."""
        (folder / JOBS).mkdir(parents=True, exist_ok=True)
        write_text(folder / STUDY, recipe.dump(self.study.tree()))
        for job in self.jobs:
            file = folder / JOBS / f"{job.run}.toml"
            if not file.is_file():  # its name holds the digest of what is in it
                write_text(file, recipe.dump(job.config))
        write_text(folder / PLAN, json.dumps(self.tree(), indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The plan of a study's folder. Raises RunError where there is none."""
        try:
            tree = json.loads((folder / PLAN).read_text(encoding="utf-8"))
            study = StudyConfig.make(tomllib.loads((folder / STUDY).read_text(encoding="utf-8")))
            jobs = tuple(PlannedJob(**entry, config=_read_toml(folder / JOBS / f"{entry['run']}.toml")) for entry in tree["jobs"])
            arms = tuple(PlannedArm.of(arm) for arm in tree["arms"])
        except FileNotFoundError as missing:
            raise RunError(
                f"{folder} is not a study's folder: {missing.filename} is missing; run the study with `assay study run`"
            ) from None
        except (ValueError, KeyError, TypeError, ConfigError) as broken:
            raise RunError(
                f"{folder} holds a damaged plan ({broken}); run the study again, which writes it anew and keeps its runs"
            ) from None
        refused = tuple(Refused(**entry) for entry in tree["refused"])
        return cls(tree["name"], tree["scale"], study, arms, jobs, refused, tree["chosen"], tree["code"])


def new_plan(label: tuple[str, str | None], study: StudyConfig, arms: Iterable[PlannedArm], refused: Iterable[Refused]) -> Plan:
    """The plan with which a study of this (name, scale) begins: with several factors, the runs that choose among them.

    All arms have one seed before any has the next, so that a study which is stopped early can be read.
    """
    listed, tuned = tuple(arms), study.tuned
    seeds = study.tuning_seeds if tuned else study.seeds
    jobs = tuple(job for seed in seeds for arm in listed for job in jobs_of(arm, [seed], study.lr_factors, tuning=tuned))
    chosen = {} if tuned else {arm.name: study.lr_factors[0] for arm in listed}
    return Plan(*label, study, listed, jobs, tuple(refused), chosen, code_version())


def jobs_of(arm: PlannedArm, seeds: Iterable[int], factors: Iterable[float], *, tuning: bool) -> list[PlannedJob]:
    """The runs of an arm with each of these factors on its learning rates and each seed."""
    jobs = []
    for factor in factors:
        for seed in seeds:
            tree = scaled_rates(arm.config.tree(), factor)
            config = ExperimentConfig.make({**tree, "train": {**tree["train"], "seed": seed}})
            jobs.append(PlannedJob(run_name(arm.name, factor, config.digest(), seed), config.tree(), arm.name, seed, factor, tuning))
    return jobs


def _figure(run: RunDirectory, study: StudyConfig) -> float | None:
    """The loss by which a tuning run is judged; infinite where it diverged, None while it is not finished."""
    status = run.status()
    if status["failure"] == "diverged":
        return inf
    if status.get("state") != "finished":
        return None
    metric = METRICS[study.metric]
    return metric.loss(metric.of(read_stored(run.path / "scores" / f"end-{study.checkpoint}.json", run)))


def _read_toml(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))
