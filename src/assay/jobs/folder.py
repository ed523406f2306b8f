"""A folder of runs: which of them are finished, failed, running, or still to be made.

The runs themselves and the locks of the workers are all that is known: no server, no database.

<run>/          a run's directory, with what it printed in log.txt
jobs/<run>.toml the whole config of each run: `assay train jobs/<run>.toml` repeats it
locks/          held by the worker that makes a run
workers.log     what the workers of pools printed
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from assay.core import recipe
from assay.core.files import write_text
from assay.core.recipe import read_toml
from assay.core.trees import Tree
from assay.errors import ConfigError, RunError
from assay.runs.checkpoint_ref import list_steps
from assay.runs.directory import CONFIG, LOG, TIMINGS, RunDirectory
from assay.runs.lock import RUN_LOCK, is_locked
from assay.tracking.monitor import FINAL_STATES, read_last_line

JOBS, LOCKS, WORKERS_LOG = "jobs", "locks", "workers.log"

JobState = Literal["finished", "failed", "running", "interrupted", "waiting"]


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be made, with its whole config. A subclass keeps beside it what the run is for."""

    run: str  # its name, and that of its directory
    config: Tree


JobType = TypeVar("JobType", bound=Job)


@dataclass(frozen=True, slots=True)
class JobStatus(Generic[JobType]):
    """How far the run of a job is. `running`: a process holds its lock, a worker or `assay resume`; one that was killed holds none."""

    job: JobType
    state: JobState
    status: Tree  # of the run, as it wrote it down itself

    @property
    def ended(self) -> bool:
        """Whether nobody has to make it."""
        return self.state in FINAL_STATES


@dataclass(frozen=True, slots=True)
class JobFolder:
    """A folder with the runs of some jobs."""

    path: Path

    def run(self, job: Job) -> RunDirectory:
        """Return the run of a job; its directory need not exist."""
        return RunDirectory(self.path / job.run)

    def lock(self, name: str) -> Path:
        """Return the file that is locked by the worker that makes a run."""
        return self.path / LOCKS / f"{name}.lock"

    def log(self, job: Job) -> Path:
        """Return the file of what the run printed."""
        return self.path / job.run / LOG

    def read_config(self, run: str) -> Tree:
        """Read the config of a run from its file, in today's words. Raises RunError."""
        file = self.path / JOBS / f"{run}.toml"
        try:
            return read_toml(file)
        except FileNotFoundError:
            raise RunError(f"{file}: is missing; run the study or the search again, which writes what a study's plan holds") from None
        except (ValueError, RecursionError) as broken:
            raise RunError(f"{file}: is damaged ({broken}); run the study again, which writes it anew, or restore it from a copy") from None

    def write_config(self, job: Job) -> None:
        """Write the config of a run, unless it is there, undamaged: its name holds the digest of what is in it."""
        file = self.path / JOBS / f"{job.run}.toml"
        if file.is_file():
            with suppress(RunError, ConfigError):
                self.read_config(job.run)
                return
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, recipe.to_toml(job.config))

    def ended(self, job: Job) -> bool:
        """Whether a run is finished or has failed."""
        return self.run(job).status().get("state") in FINAL_STATES

    def read_status(self, job: JobType) -> JobStatus[JobType]:
        """Read how far the run of a job is."""
        status = self.run(job).status()
        if status["state"] in FINAL_STATES:
            return JobStatus(job, status["state"], status)
        if is_locked(self.lock(job.run)) or is_locked(self.run(job).path / RUN_LOCK):
            made = read_last_line(self.run(job).path / TIMINGS) or {}  # the status is of the last checkpoint, which may be long ago
            return JobStatus(job, "running", {**status, "step": max(status.get("step", 0), made.get("step", 0))})
        saved = (self.run(job).path / CONFIG).is_file() and list_steps(self.run(job).checkpoints)
        return JobStatus(job, "interrupted" if saved else "waiting", status)


def count_states(statuses: Iterable[JobStatus[JobType]]) -> Counter[JobState]:
    """Count the runs in each state."""
    return Counter(status.state for status in statuses)


def find_marked_folder(reference: str, folder: Path, marker: str) -> Path | None:
    """Find the folder that holds the file `marker`, by its path or by its name in `folder`; None where there is none."""
    return next((path.resolve() for path in (Path(reference), folder / reference) if (path / marker).is_file()), None)


def list_marked_folders(folder: Path, marker: str) -> list[Path]:
    """List the folders in a folder that hold the file `marker`, by name."""
    return [path.parent for path in sorted(folder.glob(f"*/{marker}"))]
