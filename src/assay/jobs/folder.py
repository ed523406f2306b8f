"""A study's folder: which of its runs are finished, failed, being made, or still to be made.

It is a folder of runs with a plan in it, and the plan and the runs themselves are all that is known: no server, no database.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from assay.core.config import Tree
from assay.errors import RunError, nearest
from assay.jobs.job import Job
from assay.runs.checkpoint_ref import steps_in
from assay.runs.directory import CONFIG, TIMINGS, RunDirectory, all_runs
from assay.runs.lock import is_held
from assay.studies.plan import PLAN, Plan
from assay.tracking.follow import last_line

LOCKS, LOG, WORKERS_LOG = "locks", "log.txt", "workers.log"

State = Literal["finished", "failed", "running", "interrupted", "waiting"]


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """Where a study and its runs are."""

    path: Path

    def plan(self) -> Plan:
        """The plan as it stands: as written, with the runs that follow from those that are finished. Raises RunError."""
        return Plan.read(self.path).grown(self.path)

    def run(self, job: Job) -> RunDirectory:
        """The run of a job; its directory need not exist."""
        return RunDirectory(self.path / job.run)

    def lock(self, name: str) -> Path:
        """The file that whoever makes a run locks."""
        return self.path / LOCKS / f"{name}.lock"

    def log(self, job: Job) -> Path:
        """What the run printed."""
        return self.path / job.run / LOG

    def ended(self, job: Job) -> bool:
        """Whether a run is finished or has failed, so that nobody has to make it."""
        return self.run(job).status().get("state") in ("finished", "failed")

    def standing(self, job: Job) -> "Standing":
        """Where the run of a job stands."""
        status = self.run(job).status()
        if status["state"] in ("finished", "failed"):
            return Standing(job, status["state"], status)
        if is_held(self.lock(job.run)):
            made = last_line(self.run(job).path / TIMINGS) or {}  # the status tells of the last checkpoint, which may be long ago
            return Standing(job, "running", {**status, "step": max(status.get("step", 0), made.get("step", 0))})
        saved = (self.run(job).path / CONFIG).is_file() and steps_in(self.run(job).checkpoints)
        return Standing(job, "interrupted" if saved else "waiting", status)

    def earlier(self, plan: Plan) -> list[RunDirectory]:
        """The runs of an earlier form of the study, which no job of the plan names."""
        named = {job.run for job in plan.jobs}
        return [run for run in all_runs(self.path) if run.name not in named]


class Standing(NamedTuple):
    """Where a run stands. `running` means that somebody holds its lock; a process that was killed holds none."""

    job: Job
    state: State
    status: Tree

    @property
    def ended(self) -> bool:
        """Whether nobody has to make it."""
        return self.state in ("finished", "failed")


def counts(standings: Iterable[Standing]) -> Counter[State]:
    """How many runs are in each state."""
    return Counter(standing.state for standing in standings)


def may_grow(plan: Plan, standings: Iterable[Standing]) -> bool:
    """Whether runs may yet follow from those that are being made: learning rates are still being tried."""
    return plan.study.tuned and any(standing.job.tuning and not standing.ended for standing in standings)


def is_study(path: Path) -> bool:
    """Whether a folder holds a plan."""
    return (path / PLAN).is_file()


def studies(runs: Path) -> list[StudyFolder]:
    """The studies in a folder of runs, by name."""
    return [StudyFolder(path.parent) for path in sorted(runs.glob(f"*/{PLAN}"))]


def find_folder(reference: str, runs: Path) -> StudyFolder:
    """The study that a folder means, or a name among runs. Raises RunError."""
    for path in (Path(reference), runs / reference):
        if is_study(path):
            return StudyFolder(path.resolve())
    known = [study.path.name for study in studies(runs)]
    if not known:
        raise RunError(f"no study in {runs.resolve()}; run one with `assay study run FILE`, or give --runs-dir")
    raise RunError(f"no study '{reference}' in {runs}; {nearest(Path(reference).name, known)}")
