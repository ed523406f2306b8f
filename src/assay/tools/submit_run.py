"""Submit a run to a cluster: make its directory now, and train it in a job."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from assay.core import parallel as processes
from assay.core import recipe as recipes
from assay.core.parallel import Parallel
from assay.core.signals import TIME_LIMIT
from assay.errors import Interrupted, UserError, classify_failure, explain_failure
from assay.experiment.load import read_config, write_config
from assay.experiment.summary import describe_start
from assay.jobs.launch import LaunchConfig
from assay.jobs.slurm import log_path, require_slurm, submit
from assay.runs.directory import PROVENANCE, RunDirectory, create_run, resolve_runs_folder
from assay.runs.lock import Lock
from assay.runs.provenance import current_time
from assay.terminal.console import make_console
from assay.tracking.base import Tracker
from assay.tracking.combined import combine_trackers
from assay.tracking.console import ConsoleTracker
from assay.trainer.baselines import measure_baselines
from assay.trainer.train_run import lock_for_training, make_config, make_run_label, start_or_resume

LOGS = "slurm"  # folder in a run: the scripts of its jobs and their output


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run beside its config: scale of the recipe, seed, name, and folders; None: the default."""

    scale: str | None = None
    seed: int | None = None
    name: str | None = None
    runs_dir: Path | None = None
    data_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class SubmittedRun:
    """A run in the queue of a cluster."""

    run: Path
    job: str
    log: Path

    def to_dict(self) -> dict[str, str]:
        """Return it as plain values."""
        return {name: str(value) for name, value in asdict(self).items()}


def submit_run(
    recipe: str, overrides: Sequence[str], options: RunOptions, track: Sequence[str], assignments: Sequence[str]
) -> SubmittedRun:
    """Make the run's directory and submit the job that trains it; `assignments` change the launch table. A UserError leaves nothing."""
    config = make_config(recipe, overrides, options.scale, {"train.seed": options.seed}, options.data_dir)
    launch = LaunchConfig.from_table(recipes.load_launch(recipe, options.scale), assignments)
    require_slurm()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("--launcher slurm: each process of torchrun would send a job; leave out torchrun and set launch.gpus")
    label, data_dir = make_run_label(recipe, options.scale, options.name), options.data_dir and options.data_dir.resolve()
    directory = create_run(resolve_runs_folder(options.runs_dir), label, config.digest(), config.train.seed)
    run = RunDirectory(directory.path.resolve())
    logs = run.path / LOGS
    try:
        write_config(run, config)
        run.write_json(PROVENANCE, {"started_at": current_time()})
        run.update_status(state="queued", step=0)
        [job] = submit(train_in_job, [(run.path, data_dir, tuple(track), launch.requeues)], launch, logs, label)
    except Exception:
        shutil.rmtree(run.path)  # there is nothing in it yet but the config
        raise
    return SubmittedRun(run.path, job, log_path(logs, job))


def train_in_job(path: Path, data_dir: Path | None, track: Sequence[str], requeues: int) -> None:
    """Train a run to its end in a job, also one that starts again, from where the run stands. Its status keeps the reason of a failure."""
    run = RunDirectory(path)
    with processes.process_group() as parallel, lock_for_training(run, parallel, Tracker()) as lock:
        try:
            _train_to_end(run, data_dir, track, parallel, lock)
        except Interrupted as stopped:
            restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
            if parallel.is_main and stopped.signal == TIME_LIMIT and restarts < requeues:
                run.update_status(state="queued", failure=None)
            raise
        except Exception as failed:
            if parallel.is_main:
                run.update_status(state="failed", failure=classify_failure(failed), error=explain_failure(failed))
            raise


def _train_to_end(run: RunDirectory, data_dir: Path | None, track: Sequence[str], parallel: Parallel, lock: Lock) -> None:
    if run.status()["state"] == "finished":  # the node failed after all was done
        return
    if parallel.is_main:
        run.update_status(job=os.environ.get("SLURM_JOB_ID"))
    tracker = combine_trackers(ConsoleTracker(make_console()), track) if parallel.is_main else Tracker()
    trainer = start_or_resume(run, read_config(run), data_dir, parallel, tracker, lock)
    tracker.start(f"{run.name}, from step {trainer.state.step}", describe_start(trainer.experiment, run))
    trainer.run()
    if parallel.is_main:
        measure_baselines(trainer.experiment.prepared, run=run)
