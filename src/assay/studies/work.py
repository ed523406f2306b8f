"""A worker of a study: it makes runs until none is left that nobody makes, then scores the chosen ones on the test split."""

from collections import Counter
from pathlib import Path

from assay.jobs.worker import Outcome, Tell, interruptible, make_runs, prepare_base, say
from assay.studies.final import score_chosen
from assay.studies.folder import StudyFolder


def work(folder: Path, data_dir: Path | None = None, tell: Tell = say, *, final: bool = True) -> Counter[Outcome]:
    """Make the runs of a study that nobody else makes; how many were finished, and how many failed.

    Whoever finds that all have ended then scores the chosen ones on the test split, unless that is left to others (`final`). Raises
    Interrupted, after the run was saved, when a signal asks for it, UserError where the text or the device of the study's base is not
    there, and AssayError where this process cannot go on.
    """
    study = StudyFolder(folder)
    with interruptible():
        prepare_base(study.plan().base, data_dir)
        made = make_runs(study, lambda: study.plan().jobs, study.may_grow, data_dir, tell)
        if final:
            score_chosen(study, data_dir, tell)
    return made
