"""A pool of workers on one study: each makes runs of the plan."""

from collections.abc import Callable, Sequence
from pathlib import Path

from assay.jobs.folder import JobStatus, counts
from assay.jobs.pool import Pool, Tell, Workload
from assay.studies.folder import StudyFolder
from assay.studies.plan import Plan, PlannedJob

Show = Callable[[Plan, Sequence[JobStatus[PlannedJob]]], None]  # is told where the runs stand, again and again


def run_pool(study: StudyFolder, workers: int, data_dir: Path | None, show: Show, tell: Tell) -> None:
    """Make the runs of a study, several at a time, until every one is finished or failed, here or elsewhere.

    Raises Interrupted when a signal asked to stop, after the runs were saved, and AssayError where workers die for no run's fault.
    """
    Pool(("study", "work"), study.path, workers, data_dir, Monitor(study, show), tell).run()


class Monitor:
    """Sees again and again what there is to do in a study. A run that has ended is looked at once."""

    def __init__(self, study: StudyFolder, show: Show) -> None:
        self.study, self.show = study, show
        self.plan = study.plan()
        self.ended: dict[str, JobStatus[PlannedJob]] = {}

    def __call__(self) -> Workload:
        """Look, show, and say what there is to do."""
        known, statuses = len(self.ended), self._statuses()
        if len(self.ended) > known:  # then further runs may follow
            self.plan = self.study.plan()
            statuses = self._statuses()
        self.show(self.plan, statuses)
        count = counts(statuses)
        progress = [(one.state, one.status.get("step")) for one in statuses]
        return Workload(count["waiting"] + count["interrupted"], count["running"], progress, all(one.ended for one in statuses))

    def _statuses(self) -> list[JobStatus[PlannedJob]]:
        found = [self.ended.get(job.run) or self.study.status_of(job) for job in self.plan.jobs]
        self.ended |= {one.job.run: one for one in found if one.ended}
        return found
