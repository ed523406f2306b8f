"""The folder of a study: its plan and its runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from assay.errors import RunError, suggest
from assay.jobs.folder import JobFolder, JobStatus, find_marked_folder, list_marked_folders
from assay.runs.directory import PLAN, RunDirectory, list_runs
from assay.studies.plan import PlannedJob, StudyPlan


@dataclass(frozen=True, slots=True)
class StudyFolder(JobFolder):
    """A folder that holds the plan and the runs of a study."""

    def plan(self) -> StudyPlan:
        """Read the plan, and add the runs that follow from those that are finished. Raises RunError."""
        return StudyPlan.read(self.path).extend(self.path)

    def statuses(self, plan: StudyPlan) -> list[JobStatus[PlannedJob]]:
        """Read how far the runs of a plan are."""
        return [self.read_status(job) for job in plan.jobs]

    def earlier_runs(self, plan: StudyPlan) -> list[RunDirectory]:
        """List the runs of an earlier form of the study, which no job of the plan names."""
        named = {job.run for job in plan.jobs}
        return [run for run in list_runs(self.path) if run.name not in named]

    def may_add_jobs(self, jobs: Iterable[PlannedJob]) -> bool:
        """Whether these jobs may lead to others: some that try learning rates have not ended."""
        return any(job.tuning and not self.ended(job) for job in jobs)


def is_study(path: Path) -> bool:
    """Whether a folder holds a plan."""
    return (path / PLAN).is_file()


def list_folders(runs: Path) -> list[StudyFolder]:
    """List the studies in a folder of runs, by name."""
    return [StudyFolder(path) for path in list_marked_folders(runs, PLAN)]


def find_folder(reference: str, runs: Path) -> StudyFolder:
    """Find the study that a path or a name among runs means. Raises RunError."""
    path = find_marked_folder(reference, runs, PLAN)
    if path is not None:
        return StudyFolder(path)
    known = [study.path.name for study in list_folders(runs)]
    if not known:
        raise RunError(f"no study in {runs.resolve()}; run one with `assay study run FILE`, or give --runs-dir")
    raise RunError(f"no study '{reference}' in {runs}; {suggest(Path(reference).name, known)}")
