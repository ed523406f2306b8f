"""The end of a study: its chosen runs are scored on the test split, each once, after everything has been chosen on validation."""

from pathlib import Path

from assay.runs.lock import take
from assay.studies.folder import StudyFolder
from assay.trainer.rescore import Report, ScoreRequest, score_run, used_test


def score_chosen(study: StudyFolder, data_dir: Path | None, tell: Report) -> int:
    """Score what is to be reported on the test split and was not yet; how many runs that were.

    It does nothing where figures of validation are reported, or as long as a run is neither finished nor failed. Two that come here
    at once wait for each other, and the second finds nothing to do.
    """
    plan = study.plan()
    if plan.study.report_on != "test" or not all(map(study.ended, plan.jobs)):
        return 0
    lock = take(study.lock("test"), wait=True)
    assert lock is not None
    with lock:
        chosen = [study.run(job) for arm in plan.arms for job in plan.final(arm.name)]
        finished = [run for run in chosen if run.status()["state"] == "finished"]
        wanted = ScoreRequest("test", plan.study.checkpoint, data_dir=data_dir)
        unscored = [run for run in finished if wanted.find(run) is None]
        if unscored:
            tell(f"scoring {len(unscored)} runs on the test split, once")
        for run in unscored:
            score_run(run, wanted)
        for run in finished:
            if not run.test_uses():  # its process died after the score was kept, and before its use was noted
                used_test(run, wanted.of(run, tell).figures)
        return len(unscored)
