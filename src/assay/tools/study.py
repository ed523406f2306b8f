"""A study as a person asks for it: a view of its folder, cheap to make, and the same in another process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from assay.jobs.folder import JobState, JobStatus, counts
from assay.studies.analysis.outcome import read_study
from assay.studies.analysis.results import Against, ArmOutcome, Outcome
from assay.studies.estimate import to_come
from assay.studies.folder import StudyFolder
from assay.studies.plan import Plan, PlannedJob
from assay.tools.report import write_report
from assay.trainer.notebook import frame_of, html_table
from assay.trainer.run import Run

Statuses = Sequence[JobStatus[PlannedJob]]
STATES: tuple[JobState, ...] = ("finished", "failed", "running", "interrupted", "waiting")


class Difference(NamedTuple):
    """An arm against the base; below 0 is better."""

    mean: float
    interval: tuple[float, float] | None  # 95 %, over seeds; None where one of the two has a single seed
    resolved: bool
    seeds_needed: int | None  # an arm, for a difference of this size; None where it is resolved or cannot be told
    verdict: str


@dataclass(frozen=True, slots=True)
class StudyArm:
    """One configuration of a study: the figures of its seeds, and its difference from the base."""

    name: str
    outcome: ArmOutcome
    difference: Difference | None  # of the base, and before there are figures: None

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
    def plan(self) -> Plan:
        """Its arms and jobs, with those that follow from what is finished."""
        return self.folder.plan()

    @property
    def outcome(self) -> Outcome:
        """What it found so far: `.verdict` and `.warnings` are sentences.

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
        found = {one.arm: one for one in outcome.comparisons}
        return {arm.name: StudyArm(arm.name, arm, _difference(found.get(arm.name))) for arm in outcome.arms}

    @property
    def runs(self) -> list[Run]:
        """Its runs that have been begun."""
        return [Run(self.folder.run(job).path, self.data_dir) for job in self.plan.jobs if self.folder.run(job).path.is_dir()]

    def rows(self) -> list[dict[str, Any]]:
        """One row a run: arm, seed, factor on the learning rates, state, figure in bits per byte, seconds."""
        return [
            {
                "run": run.job.run, "arm": arm.name, "seed": run.job.seed, "lr_factor": run.job.lr_factor, "state": run.state,
                "bits_per_byte": None if (score := run.score(arm.split)) is None else score.bits_per_byte,
                "tokens": run.spent.tokens, "seconds": run.spent.seconds, "parameters": arm.plan.parameters,
            }
            for arm in self.outcome.arms
            for run in arm.jobs
        ]  # fmt: skip

    def frame(self) -> Any:
        """The same as a pandas DataFrame. Raises UserError without pandas."""
        return frame_of(self.rows())

    def report(self, path: str | Path) -> Path:
        """Write what it found on one page, a file that asks nothing of the network.

        >>> study.report(folder / "study.html").is_file()
        True
        """
        write_report([self.path], Path(path), data_dir=self.data_dir)
        return Path(path)

    def tree(self) -> dict[str, Any]:
        """What is known of it as plain values."""
        folder, plan = self.folder, self.plan
        statuses, outcome = folder.statuses(plan), self.outcome
        failed = [
            {"run": one.job.run, "failure": one.status["failure"], "error": one.status.get("error"), "log": str(folder.log(one.job))}
            for one in statuses if one.state == "failed"
        ]  # fmt: skip
        return {**count_runs(folder, plan, statuses), "failures": failed, "verdict": outcome.verdict, "warnings": outcome.warnings}

    def _repr_html_(self) -> str:
        """The table that a notebook shows."""
        arms = self.arms
        rows = {"study": str(self.path), "verdict": " ".join(self.outcome.verdict)}
        rows |= {name: "-" if arm.mean is None else f"{arm.mean:.4f}" for name, arm in arms.items()}
        return html_table(rows)

    def __repr__(self) -> str:
        """One line: its folder, and how many runs are finished."""
        count = counts(self.folder.statuses(self.plan))
        return f"Study({str(self.path)!r}, {count['finished']} of {sum(count.values())} runs finished)"


def count_runs(folder: StudyFolder, plan: Plan, statuses: Statuses) -> dict[str, Any]:
    """A study in figures."""
    count = counts(statuses)
    return {
        "study": plan.name,
        "scale": plan.scale,
        "folder": str(folder.path),
        "question": plan.study.question,
        "runs": {state: count[state] for state in STATES},
        "to_come": sum(to_come(plan).values()),
        "refused": [refused._asdict() for refused in plan.refused],
        "earlier": len(folder.earlier(plan)),
    }


def describe_plan(folder: StudyFolder, plan: Plan, statuses: Statuses) -> dict[str, Any]:
    """A study with its arms and runs, as plain values."""
    jobs = [{**one.job.entry(), "state": one.state, "bits_per_byte": one.status.get("bits_per_byte")} for one in statuses]
    return {**count_runs(folder, plan, statuses), "arms": [arm.tree() for arm in plan.arms], "jobs": jobs}


def _difference(found: Against | None) -> Difference | None:
    if found is None:
        return None
    interval = None if found.interval is None else (found.interval.low, found.interval.high)
    return Difference(found.difference, interval, found.resolved, found.needed, found.verdict)
