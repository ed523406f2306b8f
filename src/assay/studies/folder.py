"""A study's folder: a folder of runs with a plan in it, and how it is found among others."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from assay.errors import RunError, nearest
from assay.jobs.folder import JobFolder, JobStatus
from assay.runs.directory import RunDirectory, all_runs
from assay.studies.plan import PLAN, Plan, PlannedJob


@dataclass(frozen=True, slots=True)
class StudyFolder(JobFolder):
    """Where a study and its runs are."""

    def plan(self) -> Plan:
        """The plan as it stands: as written, with the runs that follow from those that are finished. Raises RunError."""
        return Plan.read(self.path).grown(self.path)

    def statuses(self, plan: Plan) -> list[JobStatus[PlannedJob]]:
        """Where the runs of a plan stand."""
        return [self.status_of(job) for job in plan.jobs]

    def earlier(self, plan: Plan) -> list[RunDirectory]:
        """The runs of an earlier form of the study, which no job of the plan names."""
        named = {job.run for job in plan.jobs}
        return [run for run in all_runs(self.path) if run.name not in named]

    def may_grow(self, jobs: Iterable[PlannedJob]) -> bool:
        """Whether further runs may yet follow from these: some that try learning rates have not ended."""
        return any(job.tuning and not self.ended(job) for job in jobs)


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
