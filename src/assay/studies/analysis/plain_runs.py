"""Runs that belong to no study, read as one: arms are the configurations that differ in more than the seed, the first is the base."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from assay.core.config import Tree, flatten
from assay.evaluation.verdict import figure
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import read_config
from assay.jobs.folder import JobFolder, JobStatus
from assay.jobs.job import Job, JobType
from assay.runs.directory import RunDirectory, stem
from assay.studies.analysis.outcome import read_plan
from assay.studies.analysis.results import Outcome
from assay.studies.analysis.warnings import budget, figures, selection, unfinished
from assay.studies.file import StudyConfig
from assay.studies.folder import StudyFolder
from assay.studies.plan import Plan, PlannedArm, PlannedJob
from assay.tracking.follow import state
from assay.trainer.baselines import Baselines, read_baselines
from assay.variation.costs import costs


@dataclass(frozen=True, slots=True)
class GivenRuns(StudyFolder):
    """Runs from anywhere, by the names of their jobs."""

    runs: dict[str, RunDirectory] = field(default_factory=dict)

    def run(self, job: Job) -> RunDirectory:
        """The run of a job."""
        return self.runs[job.run]

    def status_of(self, job: JobType) -> JobStatus[JobType]:
        """Where a run stands. Nobody holds a lock of it, so it is being made if its process is there."""
        found = JobFolder.status_of(self, job)
        return found if found.ended or state(found.status) != "running" else replace(found, state="running")

    def earlier(self, plan: Plan) -> list[RunDirectory]:
        """None: what else lies in the folder was not asked for."""
        return []


def read_runs(runs: Sequence[RunDirectory]) -> Outcome:
    """Read what some runs say of each other. Raises ConfigError where the config of one was damaged."""
    groups: dict[str, list[tuple[RunDirectory, ExperimentConfig]]] = {}
    for run in dict.fromkeys(runs):
        config = read_config(run)
        unseeded = config.changed(train=config.train.changed(seed=0))
        groups.setdefault(unseeded.digest(), []).append((run, config))
    names = _distinct([stem(members[0][0].name) for members in groups.values()], list(groups))
    arms, jobs, places = [], [], {}
    base = next(iter(groups.values()))[0][1]
    for name, members in zip(names, groups.values(), strict=True):
        config = members[0][1]
        arms.append(PlannedArm(name, None, _moved(base, config), config, {}, *costs(config)))
        for run, own in members:
            key = run.name if run.name not in places else f"{run.path.parent.name}/{run.name}"
            places[key] = run
            jobs.append(PlannedJob(key, own.tree(), name, own.train.seed, 1.0, False))
    title = arms[0].name if len(arms) == 1 else f"{arms[0].name} beside {len(arms) - 1} other configuration{'s' * (len(arms) > 2)}"
    study = StudyConfig(question=title, base="", match=(), seeds=tuple(sorted({job.seed for job in jobs})), report_on="validation")
    plan = Plan("runs", None, study, tuple(arms), tuple(jobs), (), dict.fromkeys(names, 1.0))
    outcome = read_plan(GivenRuns(Path(), places), plan)
    if len(arms) > 1:
        return replace(outcome, verdict=_beside(outcome))
    doubts = tuple(doubt for of in (unfinished, selection, figures, budget) for doubt in of(outcome))
    return replace(outcome, verdict=judge_alone(outcome, read_baselines(run.run for run in outcome.jobs)), warnings=doubts)


def judge_alone(outcome: Outcome, baselines: Baselines | None) -> tuple[str, ...]:
    """Say in sentences how good a single configuration is, beside cheaper methods where they were measured."""
    arm = outcome.base
    if arm.mean is None:
        reason = next((run.reason for run in outcome.jobs if run.reason), None)
        why = "is not finished, so it has no figure yet" if reason is None else f"has no figure: {reason.rstrip('.')}"
        return (f"{arm.name} {why}.",)
    error = fmean(score.figures["standard_error"] for score in arm.stored)
    over = f", the mean of {len(arm.stored)} seeds" if len(arm.stored) > 1 else ""
    size, half = figure(arm.mean, 2 * error), figure(error, 2 * error)
    first = f"{arm.name} needs {size} bits for a byte of the {outcome.split} text{over} (± {half} over the text)."
    found = {} if baselines is None else baselines.labelled()
    if not found:
        return (first, "Nothing was measured beside it: `assay score RUN` sets cheaper methods beside a run.")
    label, bits = min(found.items(), key=lambda each: each[1])
    far = f"{abs(100 * (arm.mean / bits - 1)):.1f} % {'less' if arm.mean < bits else 'more'}"
    return (first, f"That is {far} than the best of the cheaper methods, {label} ({bits:.4f}).")


def _beside(outcome: Outcome) -> tuple[str, ...]:
    """The verdict, with a word on what the base is."""
    told = f"The base is {outcome.base.name}, as it was named first; each difference is from it."
    return (outcome.verdict[0], told, *outcome.verdict[1:])


def _moved(base: ExperimentConfig, other: ExperimentConfig) -> Tree:
    """The keys in which a config differs from the base's, apart from the seed."""
    left, right = dict(flatten(base.tree())), dict(flatten(other.tree()))
    return {key: right.get(key) for key in dict.fromkeys([*left, *right]) if key != "train.seed" and left.get(key) != right.get(key)}


def _distinct(names: Sequence[str], digests: Sequence[str]) -> list[str]:
    """The names, with the beginning of a digest where two are equal."""
    return [name if names.count(name) == 1 else f"{name} {digest[:8]}" for name, digest in zip(names, digests, strict=True)]
