"""`assay train RECIPE --launcher slurm`: the run's directory now, its training in a job."""

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from assay.core import parallel as processes
from assay.core import recipe
from assay.core.parallel import Parallel
from assay.errors import Interrupted, UserError, failure_of
from assay.experiment.config import ExperimentConfig
from assay.experiment.describe import describe_start
from assay.jobs.launch import LaunchConfig
from assay.jobs.slurm import log_of, require_slurm, submit
from assay.runs.directory import CONFIG, RunDirectory, create
from assay.terminal.console import console, print_json
from assay.tracking.console import ConsoleTracker
from assay.tracking.several import trackers
from assay.trainer.baselines import measure_baselines
from assay.trainer.resume import begin_or_reopen
from assay.training.hooks import OUT_OF_TIME
from assay.views.run_summary import print_run_summary

LOGS = "slurm"  # in a run: what its jobs were and what they printed


def send(
    config: ExperimentConfig, label: str, folder: Path, launch: LaunchConfig, rest: tuple[Path | None, Sequence[str]], out: Console,
    *, as_json: bool,
) -> None:  # fmt: skip
    """Make the run's directory, send the job that trains it, and tell where to look. Where it raises UserError, nothing is left behind."""
    require_slurm()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("--launcher slurm: each process of torchrun would send a job; leave out torchrun and set launch.gpus")
    data_dir, track = rest
    run = RunDirectory(create(folder, label, config.digest(), config.train.seed).path.resolve())
    logs = run.path / LOGS
    try:
        (run.path / CONFIG).write_text(recipe.dump(config.tree()), encoding="utf-8")
        run.set_status(state="queued", step=0)
        values = (run.path, data_dir and data_dir.resolve(), tuple(track), launch.requeues)
        [job] = submit(train_in_job, [values], launch, logs, label)
    except Exception:
        shutil.rmtree(run.path)  # there is nothing in it yet but what was asked
        raise
    log = log_of(logs, job)
    if as_json:
        print_json({"run": str(run.path), "job": job, "log": str(log)})
        return
    out.print(f"job {job} is in the queue and will train {run.name}", markup=False, soft_wrap=True)
    facts = {
        "run": run.path, "log": log, "watch": f"assay watch {run.path}", "queue": f"squeue --job {job}", "cancel": f"scancel {job}",
    }  # fmt: skip
    for name, fact in facts.items():
        out.print(f"{name:<8}{fact}", markup=False, soft_wrap=True)  # whole, so that it can be copied


def train_in_job(path: Path, data_dir: Path | None, track: Sequence[str], requeues: int) -> None:
    """What the job does, also when it starts again: the run from where it stands to its figures. What fails is kept in its status."""
    run = RunDirectory(path)
    with processes.joined() as parallel:
        try:
            _to_the_end(run, data_dir, track, parallel)
        except Interrupted as stopped:
            restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
            if parallel.main and stopped.signal == OUT_OF_TIME and restarts < requeues:
                run.set_status(state="queued", failure=None)
            raise
        except Exception as failed:
            if parallel.main:
                run.set_status(state="failed", failure=failure_of(failed), error=str(failed))
            raise


def _to_the_end(run: RunDirectory, data_dir: Path | None, track: Sequence[str], parallel: Parallel) -> None:
    if run.status()["state"] == "finished":  # the node failed after all was done
        return
    out = console()
    if parallel.main:
        run.set_status(job=os.environ.get("SLURM_JOB_ID"))
    tracker = trackers(ConsoleTracker(out), track) if parallel.main else ConsoleTracker(Console(quiet=True))
    fit = begin_or_reopen(run, data_dir, parallel, tracker)
    tracker.begin(f"{run.name}, from step {fit.state.step}", describe_start(fit.experiment, run))
    figures = fit.to_the_end()
    if parallel.main:
        print_run_summary(out, run.path, figures, partial(measure_baselines, fit.experiment.prepared, run=run), as_json=False)
