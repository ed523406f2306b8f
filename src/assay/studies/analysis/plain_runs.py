"""Reading runs that belong to no study as one: arms are the configurations that differ in more than the seed, the first is the base."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from assay.core.files import readable_name
from assay.core.trees import Tree, find_changes
from assay.core.words import format_count
from assay.errors import UserError
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import read_config, read_tokenizer
from assay.experiment.vocabulary import remember_vocabulary, vocabulary_size
from assay.jobs.folder import Job, JobFolder, JobStatus, JobType
from assay.runs.directory import RunDirectory, strip_run_suffix
from assay.studies.analysis.outcome import analyze_text, read_arms
from assay.studies.analysis.results import ArmOutcome, MeasuredText, StudyOutcome
from assay.studies.analysis.several_texts import join_texts, narrow_plan
from assay.studies.analysis.single_arm import describe_single_arm
from assay.studies.analysis.texts import group_by_text
from assay.studies.analysis.warnings import check_convergence, check_damaged_files, check_figures, check_selection, check_unfinished_runs
from assay.studies.file import StudyConfig
from assay.studies.folder import StudyFolder
from assay.studies.plan import PlannedArm, PlannedJob, StudyPlan
from assay.tracking.monitor import current_state
from assay.trainer.baselines import read_baselines
from assay.variation.costs import measure_costs


@dataclass(frozen=True, slots=True)
class RunCollection(StudyFolder):
    """A collection of runs from anywhere, by the names of their jobs."""

    runs: dict[str, RunDirectory] = field(default_factory=dict)

    def run(self, job: Job) -> RunDirectory:
        """Return the run of a job."""
        return self.runs[job.run]

    def read_status(self, job: JobType) -> JobStatus[JobType]:
        """Read how far a run is: also running, where there are no locks, if its process is there."""
        read = JobFolder.read_status(self, job)
        return read if read.ended or current_state(read.status) != "running" else replace(read, state="running")

    def earlier_runs(self, plan: StudyPlan) -> list[RunDirectory]:
        """List none: other runs in the folder are no part of the collection."""
        return []


def read_runs(runs: Sequence[RunDirectory], base_is: str = "as it was named first") -> StudyOutcome:
    """Read runs as the arms of a study; the first of each text is the base there, and `base_is` says why it is.

    One with an unreadable config is left out, with a warning. Raises UserError where none is left.
    """
    groups: dict[str, list[tuple[RunDirectory, ExperimentConfig]]] = {}
    unreadable: list[UserError] = []
    for run in dict.fromkeys(runs):
        try:
            config = read_config(run)
        except UserError as damaged:
            unreadable.append(damaged)
        else:
            groups.setdefault(config.with_seed(0).digest(), []).append((run, config))
    if not groups:
        raise unreadable[0]
    plan, places = _plan_runs(groups)
    arms = read_arms(RunCollection(Path(), places), plan)
    parts = [_analyze_group(plan, members, text, base_is) for text, members in group_by_text(arms).items()]
    arms = tuple(arm for part in parts for arm in part.arms)
    return join_texts(plan, arms, parts, tuple(f"Left out: {damaged}." for damaged in unreadable))


def _plan_runs(groups: Mapping[str, Sequence[tuple[RunDirectory, ExperimentConfig]]]) -> tuple[StudyPlan, dict[str, RunDirectory]]:
    """Plan the arms and jobs whose runs are there, and find the run of each job."""
    arms, jobs, places = [], [], {}
    for name, members in zip(_name_groups(groups), groups.values(), strict=True):
        config = members[0][1]
        with suppress(UserError):
            remember_vocabulary(config, read_tokenizer(members[0][0]).vocab_size)
        costs = measure_costs(config)
        arms.append(PlannedArm(name, None, {}, config, {}, *costs, vocabulary_size(config)))
        for run, own in members:
            key = run.name if run.name not in places else f"{readable_name(run.path.parent)}/{run.name}"
            places[key] = run
            jobs.append(PlannedJob(key, own.to_dict(), name, own.train.seed, 1.0, False))
    study = StudyConfig(
        question=_name_arms(arms), base="", match=(), seeds=tuple(sorted({job.seed for job in jobs})), report_on="validation"
    )
    return StudyPlan("runs", None, study, tuple(arms), tuple(jobs), (), {arm.name: 1.0 for arm in arms}), places


def _analyze_group(plan: StudyPlan, arms: tuple[ArmOutcome, ...], text: MeasuredText, base_is: str) -> StudyOutcome:
    """Compare the runs of one text with the first of them; a single one with cheaper methods."""
    base = arms[0].planned_arm.config
    arms = tuple(replace(arm, planned_arm=replace(arm.planned_arm, values=_find_changes(base, arm.planned_arm.config))) for arm in arms)
    narrow = narrow_plan(plan, arms)
    narrow = replace(narrow, study=narrow.study.model_copy(update={"question": _name_arms(narrow.arms)}))
    outcome = analyze_text(narrow, arms, Path(), text)
    if len(arms) > 1:
        which = f"The base is {outcome.base.name}, {base_is}; each difference is from it."
        return replace(outcome, verdict=(outcome.verdict[0], which, *outcome.verdict[1:]))
    checks = (check_damaged_files, check_unfinished_runs, check_selection, check_figures, check_convergence)
    warnings = tuple(warning for check in checks for warning in check(outcome))
    return replace(outcome, verdict=describe_single_arm(outcome, read_baselines(run.run for run in outcome.all_runs)), warnings=warnings)


def _name_arms(arms: Sequence[PlannedArm]) -> str:
    """Name a collection of arms after its base."""
    return arms[0].name if len(arms) == 1 else f"{arms[0].name} beside {format_count(len(arms) - 1, 'other configuration')}"


def _find_changes(base: ExperimentConfig, other: ExperimentConfig) -> Tree:
    """Find the keys in which a config differs from the base's, apart from the seed, with its values."""
    return {key: value for key, (_, value) in find_changes(base.to_dict(), other.to_dict()).items() if key != "train.seed"}


def _name_groups(groups: Mapping[str, Sequence[tuple[RunDirectory, ExperimentConfig]]]) -> list[str]:
    """Name groups of runs by digest as their first runs are, with the beginning of the digest where two are equal."""
    names = [strip_run_suffix(members[0][0].name) for members in groups.values()]
    return [name if names.count(name) == 1 else f"{name} {digest[:8]}" for name, digest in zip(names, groups, strict=True)]
