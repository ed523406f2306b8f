"""A folder of runs: which of them are finished, failed, being made, or still to be made.

The runs themselves, and the locks of whoever makes them, are all that is known: no server, no database.

<run>/          a run's directory, with what it printed in log.txt
jobs/<run>.toml the whole config of each run: `assay train jobs/<run>.toml` repeats it
locks/          held by whoever makes a run
workers.log     what the workers of pools printed
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal

from assay.core.config import Tree
from assay.jobs.job import Job, JobType
from assay.runs.checkpoint_ref import steps_in
from assay.runs.directory import CONFIG, TIMINGS, RunDirectory
from assay.runs.lock import is_held
from assay.tracking.follow import last_line

LOCKS, LOG, WORKERS_LOG = "locks", "log.txt", "workers.log"

JobState = Literal["finished", "failed", "running", "interrupted", "waiting"]


@dataclass(frozen=True, slots=True)
class JobStatus(Generic[JobType]):
    """Where the run of a job stands. `running` means that somebody holds its lock; a process that was killed holds none."""

    job: JobType
    state: JobState
    status: Tree  # of the run, as it wrote it down itself

    @property
    def ended(self) -> bool:
        """Whether nobody has to make it."""
        return self.state in ("finished", "failed")


@dataclass(frozen=True, slots=True)
class JobFolder:
    """Where the runs of some jobs are."""

    path: Path

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

    def status_of(self, job: JobType) -> JobStatus[JobType]:
        """Where the run of a job stands."""
        status = self.run(job).status()
        if status["state"] in ("finished", "failed"):
            return JobStatus(job, status["state"], status)
        if is_held(self.lock(job.run)):
            made = last_line(self.run(job).path / TIMINGS) or {}  # the status tells of the last checkpoint, which may be long ago
            return JobStatus(job, "running", {**status, "step": max(status.get("step", 0), made.get("step", 0))})
        saved = (self.run(job).path / CONFIG).is_file() and steps_in(self.run(job).checkpoints)
        return JobStatus(job, "interrupted" if saved else "waiting", status)


def counts(statuses: Iterable[JobStatus[JobType]]) -> Counter[JobState]:
    """How many runs are in each state."""
    return Counter(status.state for status in statuses)
