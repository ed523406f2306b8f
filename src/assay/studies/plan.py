"""The plan of a study: its arms, and the runs to be made. It is written into the study's folder, where every worker reads it.

study.toml        the study as resolved
plan.json         arms, jobs, what was refused
jobs/<run>.toml   the whole config of each run: `assay train jobs/<run>.toml` repeats it
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, Self

from assay.core import recipe
from assay.core.files import write_text
from assay.core.recipe import read_toml
from assay.core.renames import update, update_key
from assay.core.trees import Tree
from assay.errors import ConfigError, RunError
from assay.evaluation.stored import read_final_score
from assay.experiment.config import ExperimentConfig
from assay.jobs.folder import Job, JobFolder
from assay.runs.directory import PLAN, RunDirectory, read_plan
from assay.studies.file import StudyConfig
from assay.variation.axes import LABEL
from assay.variation.names import run_name
from assay.variation.rates import scale_learning_rates

STUDY = "study.toml"
STORED_SETTINGS = ("question", "metric", "mode", "match", "seeds", "base_seeds", "lr_factors", "tuning_seeds", "checkpoint", "report_on")


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
    vocabulary: int  # V that its text gives; as asked where the text was not there

    @property
    def window(self) -> int:
        """Tokens of a row."""
        return self.config.batches.window

    def to_dict(self) -> Tree:
        """Convert to plain values."""
        plain = {key: getattr(self, key) for key in self.__slots__}
        return {**plain, "config": self.config.to_dict(), "window": self.window}

    @classmethod
    def from_dict(cls, tree: Tree) -> Self:
        """Make the arm again whose `to_dict()` this is."""
        parts = {key: tree[key] for key in cls.__slots__} | {key: update(tree[key]) for key in ("values", "config", "solved")}
        axis = None if tree["axis"] is None else update_key(tree["axis"])
        return cls(**{**parts, "axis": axis, "config": ExperimentConfig.make(parts["config"])})


@dataclass(frozen=True, slots=True)
class PlannedJob(Job):
    """One run to be made, and its role in the study."""

    arm: str
    seed: int
    lr_factor: float
    tuning: bool  # whether it takes part in choosing the factor

    def entry(self) -> Tree:
        """Convert to plain values, without the config, which has a file of its own."""
        return {"run": self.run, "arm": self.arm, "seed": self.seed, "lr_factor": self.lr_factor, "tuning": self.tuning}


class RefusedArm(NamedTuple):
    """A combination that cannot be built, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """The arms of a study and the runs that are to be made of them."""

    name: str
    scale: str | None
    study: StudyConfig
    arms: tuple[PlannedArm, ...]  # the base first
    jobs: tuple[PlannedJob, ...]
    refused: tuple[RefusedArm, ...]
    chosen_factors: Mapping[str, float]  # by arm: the factor on its learning rates, as soon as it is known
    code: str = ""  # that made the plan

    @property
    def folder_name(self) -> str:
        """The study's folder among runs: its name, and its scale where there is one."""
        return "-".join(filter(None, (self.name, self.scale)))

    @property
    def base(self) -> ExperimentConfig:
        """The config that every arm differs from."""
        return self.arms[0].config

    def arm(self, name: str) -> PlannedArm:
        """Find the arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def jobs_of_arm(self, name: str) -> tuple[PlannedJob, ...]:
        """List the jobs of an arm."""
        return tuple(job for job in self.jobs if job.arm == name)

    def final_jobs(self, name: str) -> tuple[PlannedJob, ...]:
        """List the jobs of an arm that are reported: one a seed, with the chosen factor; none while that is not known."""
        factor = self.chosen_factors.get(name)
        by_seed = {job.seed: job for job in self.jobs_of_arm(name) if job.lr_factor == factor}
        return tuple(by_seed[seed] for seed in self.study.seeds_of(name) if seed in by_seed)

    def keep_names(self, folder: Path) -> Self:
        """Name arms and their runs as the plan in `folder` does, so that no run is made twice under another name.

        An arm that is no variant is named after its keys, which an earlier version may have called otherwise, and after what tells them
        from the other axes.
        """
        try:
            earlier = StudyPlan.read(folder)
        except RunError:
            return self
        variants = {str(table.get(LABEL, name)) for plan in (self, earlier) for name, table in plan.study.variants.items()}
        old_arms = [arm for arm in earlier.arms if arm.name not in variants]
        names = {arm.name: arm.name for arm in self.arms}
        for arm in self.arms:
            if arm.name not in variants:
                names[arm.name] = next((old.name for old in old_arms if (old.config, old.values) == (arm.config, arm.values)), arm.name)
        arms = tuple(replace(arm, name=names[arm.name]) for arm in self.arms)
        jobs = tuple(_rename(job, names[job.arm]) for job in self.jobs)
        return replace(self, arms=arms, jobs=jobs, chosen_factors={names[arm]: factor for arm, factor in self.chosen_factors.items()})

    def extend(self, folder: Path) -> Self:
        """Add the runs that follow from those finished in `folder`: all seeds with the best factor of each arm.

        Best is the lowest mean over the tuning seeds of the study's metric on validation; a run that diverged counts as the worst. It
        follows from what is on disk alone, so that all workers of a study agree.
        """
        if not self.study.tunes_learning_rates:
            return self
        chosen = dict(self.chosen_factors)
        for arm in self.arms:
            if arm.name not in chosen and (factor := self._best_factor(arm, folder)) is not None:
                chosen[arm.name] = factor
        known = {job.run for job in self.jobs}
        decided = [arm for arm in self.arms if arm.name in chosen]
        final = [job for arm in decided for job in make_jobs(arm, self.study.seeds_of(arm.name), (chosen[arm.name],), tuning=False)]
        return replace(self, jobs=(*self.jobs, *(job for job in final if job.run not in known)), chosen_factors=chosen)

    def _best_factor(self, arm: PlannedArm, folder: Path) -> float | None:
        """Find the best factor of an arm; None while a run is missing, and where every one diverged."""
        figures: dict[float, list[float]] = {factor: [] for factor in self.study.lr_factors}
        for job in (job for job in self.jobs_of_arm(arm.name) if job.tuning):
            figure = _read_tuning_loss(RunDirectory(folder / job.run), self.study)
            if figure is None:
                return None
            figures[job.lr_factor].append(figure)
        means = {factor: fmean(values) for factor, values in figures.items()}
        best = min(means, key=lambda factor: (means[factor], abs(factor - 1), factor))
        return best if means[best] < inf else None

    def to_dict(self) -> Tree:
        """Convert to plain values, without the configs of jobs."""
        settings = {key: getattr(self.study, key) for key in STORED_SETTINGS}
        return {
            "name": self.name, "scale": self.scale, **settings, "code": self.code, "chosen": dict(self.chosen_factors),
            "arms": [arm.to_dict() for arm in self.arms], "jobs": [job.entry() for job in self.jobs],
            "refused": [refused._asdict() for refused in self.refused],
        }  # fmt: skip

    def write(self, folder: Path) -> None:
        """Write the plan into a study's folder. Each file appears whole; plan.json comes last, when all that it names is there."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / STUDY, recipe.to_toml(self.study.to_dict()))
        for job in self.jobs:
            JobFolder(folder).write_config(job)
        write_text(folder / PLAN, json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the plan of a study's folder. Raises RunError where there is none."""
        tree = read_plan(folder)
        try:
            study = StudyConfig.make(read_toml(folder / STUDY))
            jobs = tuple(PlannedJob(**entry, config=JobFolder(folder).read_config(entry["run"])) for entry in tree["jobs"])
            arms = tuple(PlannedArm.from_dict(arm) for arm in tree["arms"])
            refused = tuple(RefusedArm(**entry) for entry in tree["refused"])
            return cls(tree["name"], tree["scale"], study, arms, jobs, refused, tree["chosen"], tree["code"])
        except FileNotFoundError as missing:
            remedy = "run the study with `assay study run`"
            raise RunError(f"{folder} is not a study's folder: {missing.filename} is missing; {remedy}") from None
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as broken:
            remedy = "run the study again, which writes it anew and keeps its runs"
            raise RunError(f"{folder} holds a damaged plan ({broken}); {remedy}") from None


def make_jobs(arm: PlannedArm, seeds: Iterable[int], factors: Iterable[float], *, tuning: bool) -> list[PlannedJob]:
    """Make the jobs of an arm with each of these factors on its learning rates and each seed."""
    jobs = []
    for factor in factors:
        for seed in seeds:
            config = ExperimentConfig.make(scale_learning_rates(arm.config.to_dict(), factor)).with_seed(seed)
            jobs.append(PlannedJob(run_name(arm.name, factor, config.digest(), seed), config.to_dict(), arm.name, seed, factor, tuning))
    return jobs


def _rename(job: PlannedJob, arm: str) -> PlannedJob:
    """Rename the arm of a job, and its run."""
    digest = ExperimentConfig.make(job.config).digest()
    return replace(job, arm=arm, run=run_name(arm, job.lr_factor, digest, job.seed))


def _read_tuning_loss(run: RunDirectory, study: StudyConfig) -> float | None:
    """Read the loss by which a tuning run is judged; infinite where it diverged, None while it is not finished."""
    status = run.status()
    if status["failure"] == "diverged":
        return inf
    if status.get("state") != "finished":
        return None
    return study.target_metric.loss_of(read_final_score(run, study.checkpoint))
