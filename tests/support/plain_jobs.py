"""Jobs that belong to no study."""

from pathlib import Path

from assay.experiment.config import ExperimentConfig
from assay.jobs.folder import Job, JobFolder
from support.small_study import STUDY, lay_study


def plain_jobs(folder: Path, count: int = 2) -> tuple[JobFolder, list[Job]]:
    """A folder without a plan, and jobs of the tiny recipe, one a seed; none is made."""
    lay_study(folder)
    runs = JobFolder(folder / "runs" / "plain")
    runs.path.mkdir(parents=True)
    (runs.path / "jobs").mkdir()
    jobs = []
    for seed in range(count):
        config = ExperimentConfig.load(str(folder / "tiny.toml"), [*STUDY["set"], "train.budget=4steps", f"train.seed={seed}"])
        jobs.append(Job(f"plain-s{seed}", config.to_dict()))
    return runs, jobs
