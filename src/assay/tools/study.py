"""Read a study from its folder: its plan, arms, runs and results. It is cheap to make, and the same in another process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from assay.core.words import format_count
from assay.jobs.folder import JobState, JobStatus, count_states
from assay.studies.analysis.outcome import read_study
from assay.studies.analysis.results import ArmOutcome, ComparisonToBase, StudyOutcome
from assay.studies.estimate import count_following_runs
from assay.studies.folder import StudyFolder
from assay.studies.plan import PlannedJob, StudyPlan
from assay.tools.report import write_report
from assay.trainer.notebook import make_dataframe, render_table
from assay.trainer.run import Run

STATES: tuple[JobState, ...] = ("finished", "failed", "running", "interrupted", "waiting")


@dataclass(frozen=True, slots=True)
class StudyState:
    """A study's folder, its plan, and the status of each planned run."""

    folder: StudyFolder
    plan: StudyPlan
    statuses: Sequence[JobStatus[PlannedJob]]

    @classmethod
    def read(cls, folder: StudyFolder, plan: StudyPlan) -> "StudyState":
        """Read the statuses of the runs of a plan."""
        return cls(folder, plan, folder.statuses(plan))

    def count_runs(self) -> dict[str, Any]:
        """Summarize the study in figures."""
        count = count_states(self.statuses)
        return {
            "study": self.plan.name,
            "scale": self.plan.scale,
            "folder": str(self.folder.path),
            "question": self.plan.study.question,
            "runs": {state: count[state] for state in STATES},
            "to_come": sum(count_following_runs(self.plan).values()),
            "refused": [refused._asdict() for refused in self.plan.refused],
            "earlier": len(self.folder.earlier_runs(self.plan)),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the study with its arms and runs as plain values."""
        jobs = [{**one.job.entry(), "state": one.state, "bits_per_byte": one.status.get("bits_per_byte")} for one in self.statuses]
        return {**self.count_runs(), "arms": [arm.to_dict() for arm in self.plan.arms], "jobs": jobs}


class ArmDifference(NamedTuple):
    """The difference of an arm from the base; below 0 is better."""

    mean: float
    interval: tuple[float, float] | None  # 95 %, over seeds; None where one of the two has a single seed
    resolved: bool
    seeds_needed: int | None  # an arm, for a difference of this size; None where it is resolved or not known
    verdict: str


@dataclass(frozen=True, slots=True)
class StudyArm:
    """One configuration of a study: the figures of its seeds, and its difference from the base."""

    name: str
    outcome: ArmOutcome
    difference: ArmDifference | None  # of the base, and before there are figures: None

    @property
    def figures(self) -> tuple[float, ...]:
        """The study's metric of each seed."""
        return self.outcome.figures

    @property
    def mean(self) -> float | None:
        """Over seeds."""
        return self.outcome.mean


@dataclass(frozen=True, slots=True)
class Study:
    """A study: `path` is its folder, a folder of runs with a plan in it, and everything is read from there when it is asked for.

    >>> len(study.runs) == len(study.rows()) == len(study.frame())
    True
    """

    path: Path
    data_dir: Path | None = None  # where its text is looked for

    @property
    def folder(self) -> StudyFolder:
        """Its files."""
        return StudyFolder(self.path)

    @property
    def plan(self) -> StudyPlan:
        """Its arms and jobs, with those that follow from what is finished."""
        return self.folder.plan()

    @property
    def state(self) -> StudyState:
        """Its plan, and the status of each planned run."""
        return StudyState.read(self.folder, self.plan)

    @property
    def outcome(self) -> StudyOutcome:
        """The results so far: `.verdict` and `.warnings` are sentences.

        >>> study.outcome.verdict[0].endswith(".")
        True
        """
        return read_study(self.path)

    @property
    def arms(self) -> dict[str, StudyArm]:
        """The arms by name, the base first: `study.arms["local"].difference`.

        >>> list(study.arms)[0]
        'base'
        """
        outcome = self.outcome
        comparisons = {one.arm: one for one in outcome.comparisons}
        return {arm.name: StudyArm(arm.name, arm, _difference(comparisons.get(arm.name))) for arm in outcome.arms}

    @property
    def runs(self) -> list[Run]:
        """Its runs that have started."""
        return [Run(self.folder.run(job).path, self.data_dir) for job in self.plan.jobs if self.folder.run(job).path.is_dir()]

    def rows(self) -> list[dict[str, Any]]:
        """Make one row a run: arm, seed, factor on the learning rates, state, figure in bits per byte, seconds."""
        return [
            {
                "run": run.job.run, "arm": arm.name, "seed": run.job.seed, "lr_factor": run.job.lr_factor, "state": run.state,
                "bits_per_byte": None if (score := run.score(arm.split)) is None else score.bits_per_byte,
                "tokens": run.resource_use.tokens, "seconds": run.resource_use.seconds, "parameters": arm.planned_arm.parameters,
            }
            for arm in self.outcome.arms
            for run in arm.all_runs
        ]  # fmt: skip

    def frame(self) -> Any:
        """Make the same as a pandas DataFrame. Raises UserError without pandas."""
        return make_dataframe(self.rows())

    def report(self, path: str | Path) -> Path:
        """Write its results on one page, a file that asks nothing of the network.

        >>> study.report(folder / "study.html").is_file()
        True
        """
        write_report([self.path], Path(path), data_dir=self.data_dir)
        return Path(path)

    def to_dict(self) -> dict[str, Any]:
        """Return what is known of it as plain values."""
        state, outcome = self.state, self.outcome
        failed = [
            {"run": one.job.run, "failure": one.status["failure"], "error": one.status.get("error"), "log": str(state.folder.log(one.job))}
            for one in state.statuses if one.state == "failed"
        ]  # fmt: skip
        return {**state.count_runs(), "failures": failed, "verdict": outcome.verdict, "warnings": outcome.warnings}

    def _repr_html_(self) -> str:
        """Render the table that a notebook shows."""
        arms = self.arms
        rows = {"study": str(self.path), "verdict": " ".join(self.outcome.verdict)}
        rows |= {name: "-" if arm.mean is None else f"{arm.mean:.4f}" for name, arm in arms.items()}
        return render_table(rows)

    def __repr__(self) -> str:
        """Write one line: its folder, and how many runs are finished."""
        count = count_states(self.state.statuses)
        return f"Study({str(self.path)!r}, {count['finished']} of {format_count(sum(count.values()), 'run')} finished)"


def _difference(comparison: ComparisonToBase | None) -> ArmDifference | None:
    if comparison is None:
        return None
    interval = None if comparison.interval is None else (comparison.interval.low, comparison.interval.high)
    return ArmDifference(comparison.difference, interval, comparison.resolved, comparison.seeds_needed, comparison.verdict)
