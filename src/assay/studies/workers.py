"""Making the runs of a study: a pool of workers, one worker, and the scores on the test split at the end."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from assay.core.words import Notify, format_count
from assay.errors import UserError
from assay.jobs.folder import JobStatus, count_states
from assay.jobs.pool import Pool, Workload
from assay.jobs.worker import JobOutcome, interrupt_on_signals, make_runs, prepare_base, print_line
from assay.runs.lock import wait_for_lock
from assay.studies.folder import StudyFolder
from assay.studies.plan import PlannedJob, StudyPlan
from assay.trainer.scoring import ScoreRequest, record_test_use, score_run

ProgressCallback = Callable[[StudyPlan, Sequence[JobStatus[PlannedJob]]], None]  # shows again and again how far the runs are


def run_pool(study: StudyFolder, workers: int, data_dir: Path | None, report_progress: ProgressCallback, notify: Notify) -> None:
    """Make the runs of a study, several at a time, until every one is finished or failed, here or elsewhere.

    Raises Interrupted when a signal asked to stop, after the runs were saved, and AssayError where workers die for no run's fault.
    """
    Pool(("study", "work"), study.path, workers, data_dir, StudyMonitor(study, report_progress), notify).run()


class StudyMonitor:
    """Counts again and again the runs that are left in a study. One that has ended is read once."""

    def __init__(self, study: StudyFolder, report_progress: ProgressCallback) -> None:
        self.study, self.report_progress = study, report_progress
        self.plan = study.plan()
        self.ended_statuses: dict[str, JobStatus[PlannedJob]] = {}

    def __call__(self) -> Workload:
        """Read the runs, report them, and count what is left."""
        ended_before, statuses = len(self.ended_statuses), self._read_statuses()
        if len(self.ended_statuses) > ended_before:  # then further runs may follow
            self.plan = self.study.plan()
            statuses = self._read_statuses()
        self.report_progress(self.plan, statuses)
        count = count_states(statuses)
        progress = [(one.state, one.status.get("step")) for one in statuses]
        return Workload(count["waiting"] + count["interrupted"], count["running"], progress, all(one.ended for one in statuses))

    def _read_statuses(self) -> list[JobStatus[PlannedJob]]:
        statuses = [self.ended_statuses.get(job.run) or self.study.read_status(job) for job in self.plan.jobs]
        self.ended_statuses |= {one.job.run: one for one in statuses if one.ended}
        return statuses


def run_worker(folder: Path, data_dir: Path | None = None, notify: Notify = print_line, *, score_final: bool = True) -> Counter[JobOutcome]:
    """Make the runs of a study that nobody else makes; count those that were finished and those that failed.

    The worker that finds all of them ended then scores the chosen ones on the test split, unless `score_final` leaves that to others.
    Raises Interrupted, after the run was saved, when a signal asks for it, UserError where the text or the device of the study's base is
    not there, and AssayError where this process cannot go on.
    """
    study = StudyFolder(folder)
    with interrupt_on_signals():
        prepare_base(study.plan().base, data_dir)
        outcomes = make_runs(study, lambda: study.plan().jobs, study.may_add_jobs, data_dir, notify)
        if score_final:
            score_chosen_runs(study, data_dir, notify)
    return outcomes


def score_chosen_runs(study: StudyFolder, data_dir: Path | None, notify: Notify) -> int:
    """Score the chosen runs on the test split, each once, after everything was chosen on validation; count those scored now.

    Nothing is scored where figures of validation are reported, or as long as a run is neither finished nor failed. Two processes that
    come here at once wait for each other, and the second finds nothing to do.
    """
    plan = study.plan()
    if plan.study.report_on != "test" or not all(map(study.ended, plan.jobs)):
        return 0
    with wait_for_lock(study.lock("test")):
        chosen = [study.run(job) for arm in plan.arms for job in plan.final_jobs(arm.name)]
        finished = [run for run in chosen if run.status()["state"] == "finished"]
        request = ScoreRequest("test", plan.study.checkpoint, data_dir=data_dir)
        unscored = [run for run in finished if request.find_stored_file(run) is None]
        if unscored:
            notify(f"scoring {format_count(len(unscored), 'run')} on the test split, once")
        for run in unscored:
            if refused := score_run(run, request).not_stored:
                raise UserError(f"{run.name}: the score on the test split is not kept ({refused})")
        for run in finished:
            if not run.test_uses():  # its process died after the score was kept, and before its use was noted
                record_test_use(run, request.find_or_compute(run, notify).values)
        return len(unscored)
