"""Reading runs that belong to no study as one: arms are the configurations that differ in more than the seed, the first is the base."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from assay.core.files import readable_name
from assay.core.trees import Tree, find_changes
from assay.core.words import format_count, format_excess
from assay.errors import UserError
from assay.evaluation.verdict import format_estimate
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import read_config, read_tokenizer
from assay.experiment.vocabulary import remember_vocabulary, vocabulary_size
from assay.jobs.folder import Job, JobFolder, JobStatus, JobType
from assay.runs.directory import RunDirectory, strip_run_suffix
from assay.runs.standard_error import FEW_UNITS, count_units, read_standard_error
from assay.studies.analysis.outcome import read_outcome
from assay.studies.analysis.results import StudyOutcome
from assay.studies.analysis.warnings import check_convergence, check_damaged_files, check_figures, check_selection, check_unfinished_runs
from assay.studies.file import StudyConfig
from assay.studies.folder import StudyFolder
from assay.studies.plan import PlannedArm, PlannedJob, StudyPlan
from assay.tracking.monitor import current_state
from assay.trainer.baselines import Baselines, read_baselines
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
    """Read runs as the arms of a study, the base first; `base_is` says why it is.

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
    arms, jobs, places = [], [], {}
    base = next(iter(groups.values()))[0][1]
    for name, members in zip(_name_groups(groups), groups.values(), strict=True):
        config = members[0][1]
        with suppress(UserError):
            remember_vocabulary(config, read_tokenizer(members[0][0]).vocab_size)
        costs = measure_costs(config)
        arms.append(PlannedArm(name, None, _find_changes(base, config), config, {}, *costs, vocabulary_size(config)))
        for run, own in members:
            key = run.name if run.name not in places else f"{readable_name(run.path.parent)}/{run.name}"
            places[key] = run
            jobs.append(PlannedJob(key, own.to_dict(), name, own.train.seed, 1.0, False))
    title = arms[0].name if len(arms) == 1 else f"{arms[0].name} beside {format_count(len(arms) - 1, 'other configuration')}"
    study = StudyConfig(question=title, base="", match=(), seeds=tuple(sorted({job.seed for job in jobs})), report_on="validation")
    plan = StudyPlan("runs", None, study, tuple(arms), tuple(jobs), (), {arm.name: 1.0 for arm in arms})
    outcome = read_outcome(RunCollection(Path(), places), plan)
    left_out = tuple(f"Left out: {damaged}." for damaged in unreadable)
    if len(arms) > 1:
        which = f"The base is {outcome.base.name}, {base_is}; each difference is from it."
        return replace(outcome, verdict=(outcome.verdict[0], which, *outcome.verdict[1:]), warnings=(*left_out, *outcome.warnings))
    checks = (check_damaged_files, check_unfinished_runs, check_selection, check_figures, check_convergence)
    warnings = (*left_out, *(warning for check in checks for warning in check(outcome)))
    return replace(outcome, verdict=describe_single_arm(outcome, read_baselines(run.run for run in outcome.all_runs)), warnings=warnings)


def describe_single_arm(outcome: StudyOutcome, baselines: Baselines | None) -> tuple[str, ...]:
    """Say in sentences how good a single configuration is, compared with cheaper methods where they were measured."""
    arm = outcome.base
    if arm.mean is None:
        reason = next((reason for run in outcome.all_runs for reason in (run.reason, *run.damage) if reason), None)
        why = "is not finished, so it has no figure yet" if reason is None else f"has no figure: {reason.rstrip('.')}"
        return (f"{arm.name} {why}.",)
    over = f", the mean of {len(arm.scores)} seeds" if len(arm.scores) > 1 else ""
    errors = [error for score in arm.scores if (error := read_standard_error(score.values)) is not None]
    half = 2 * fmean(errors) if errors else 0.0
    spread = "one block, which has no spread"
    if errors:
        count = count_units(arm.scores[0].values)
        few = "" if count is None or count >= FEW_UNITS else f", of only {format_count(count, 'unit')}"
        spread = f"± {format_estimate(fmean(errors), half)} over the text{few}"
    first = f"{arm.name} needs {format_estimate(arm.mean, half)} bits for a byte of the {outcome.split} text{over} ({spread})."
    if baselines is not None and baselines.skip_reason:
        return (first, f"The cheaper methods are left out: {baselines.skip_reason}.")
    figures = {} if baselines is None else baselines.by_label()
    if not figures:
        return (first, "No cheaper method was measured beside it: `assay score RUN` measures them.")
    label, bits = min(figures.items(), key=lambda each: each[1])
    far = f"{format_excess(arm.mean, bits, 'bits').lstrip('+-')} {'less' if arm.mean < bits else 'more'}"
    return (first, f"That is {far} than the best of the cheaper methods, {label} ({bits:.4f}).")


def _find_changes(base: ExperimentConfig, other: ExperimentConfig) -> Tree:
    """Find the keys in which a config differs from the base's, apart from the seed, with its values."""
    return {key: value for key, (_, value) in find_changes(base.to_dict(), other.to_dict()).items() if key != "train.seed"}


def _name_groups(groups: Mapping[str, Sequence[tuple[RunDirectory, ExperimentConfig]]]) -> list[str]:
    """Name groups of runs by digest as their first runs are, with the beginning of the digest where two are equal."""
    names = [strip_run_suffix(members[0][0].name) for members in groups.values()]
    return [name if names.count(name) == 1 else f"{name} {digest[:8]}" for name, digest in zip(names, groups, strict=True)]
