"""A run sent to a cluster: its directory now, its training in a job."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assay.core import parallel as processes
from assay.core import recipe as recipes
from assay.core.parallel import Parallel
from assay.errors import Interrupted, UserError, failure_of
from assay.experiment.describe import describe_start
from assay.jobs.launch import LaunchConfig
from assay.jobs.slurm import log_of, require_slurm, submit
from assay.runs.directory import CONFIG, RunDirectory, create, runs_folder
from assay.terminal.console import console
from assay.tracking.console import ConsoleTracker
from assay.tracking.several import trackers
from assay.trainer.baselines import measure_baselines
from assay.trainer.make import label_of, make_config, quiet_tracker
from assay.trainer.resume import begin_or_reopen
from assay.training.hooks import OUT_OF_TIME

LOGS = "slurm"  # in a run: what its jobs were and what they printed


@dataclass(frozen=True, slots=True)
class SentRun:
    """A run in the queue of a cluster."""

    run: Path
    job: str
    log: Path

    def tree(self) -> dict[str, str]:
        """As plain values."""
        return {name: str(value) for name, value in asdict(self).items()}


def send_run(
    recipe: str, overrides: Sequence[str], named: Mapping[str, Any], folders: tuple[Path | None, Path | None], track: Sequence[str],
    launch: Sequence[str],
) -> SentRun:  # fmt: skip
    """Make the run's directory and send the job that trains it; `named` are scale, seed and name. A UserError leaves nothing."""
    scale, (runs_dir, data_dir) = named["scale"], folders
    config = make_config(recipe, overrides, scale, {"train.seed": named["seed"]})
    asked = LaunchConfig.read(recipes.launch(recipe, scale), launch)
    require_slurm()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("--launcher slurm: each process of torchrun would send a job; leave out torchrun and set launch.gpus")
    label = label_of(recipe, scale, named["name"])
    run = RunDirectory(create(runs_folder(runs_dir), label, config.digest(), config.train.seed).path.resolve())
    logs = run.path / LOGS
    try:
        (run.path / CONFIG).write_text(recipes.dump(config.tree()), encoding="utf-8")
        run.set_status(state="queued", step=0)
        [job] = submit(train_in_job, [(run.path, data_dir and data_dir.resolve(), tuple(track), asked.requeues)], asked, logs, label)
    except Exception:
        shutil.rmtree(run.path)  # there is nothing in it yet but what was asked
        raise
    return SentRun(run.path, job, log_of(logs, job))


def train_in_job(path: Path, data_dir: Path | None, track: Sequence[str], requeues: int) -> None:
    """What the job does, also when it starts again: the run from where it stands to its figures. What fails is kept in its status."""
    run = RunDirectory(path)
    with processes.joined() as parallel:
        try:
            _train_to_the_end(run, data_dir, track, parallel)
        except Interrupted as stopped:
            restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
            if parallel.main and stopped.signal == OUT_OF_TIME and restarts < requeues:
                run.set_status(state="queued", failure=None)
            raise
        except Exception as failed:
            if parallel.main:
                run.set_status(state="failed", failure=failure_of(failed), error=str(failed))
            raise


def _train_to_the_end(run: RunDirectory, data_dir: Path | None, track: Sequence[str], parallel: Parallel) -> None:
    if run.status()["state"] == "finished":  # the node failed after all was done
        return
    if parallel.main:
        run.set_status(job=os.environ.get("SLURM_JOB_ID"))
    tracker = trackers(ConsoleTracker(console()), track) if parallel.main else quiet_tracker()
    fit = begin_or_reopen(run, data_dir, parallel, tracker)
    tracker.begin(f"{run.name}, from step {fit.state.step}", describe_start(fit.experiment, run))
    fit.to_the_end()
    if parallel.main:
        measure_baselines(fit.experiment.prepared, run=run)
