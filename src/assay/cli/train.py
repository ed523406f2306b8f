"""`assay train RECIPE`: from text to a scored model."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from assay.cli.options import AsJson, DataDir, Launch, Launcher, Overrides, RunsDir, Scale, Track, on_slurm
from assay.errors import UserError
from assay.runs.directory import RunDirectory, create, runs_folder
from assay.terminal.console import console

if TYPE_CHECKING:
    from assay.core.parallel import Parallel
    from assay.experiment.assemble import Experiment
    from assay.experiment.config import ExperimentConfig
    from assay.tracking.base import Tracker


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `assay kinds recipe`) or a TOML file.")],
    overrides: Overrides = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Short for train.seed=N.")] = None,
    scale: Scale = None,
    name: Annotated[str | None, typer.Option("--name", help="The run's name instead of the recipe's.")] = None,
    track: Track = None,
    launcher: Launcher = "local",
    launch: Launch = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only tell steps, memory and time.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model as a recipe says, score it, and keep everything in a run directory."""
    from assay.cli.dry_run import dry_run
    from assay.cli.train_on_slurm import send
    from assay.core import parallel as processes
    from assay.core import recipe as recipes
    from assay.experiment.config import ExperimentConfig
    from assay.jobs.launch import LaunchConfig
    from assay.tracking.console import ConsoleTracker
    from assay.tracking.several import trackers

    out = console(as_json=as_json)
    label = name or "-".join(filter(None, (Path(recipe).stem, scale)))
    extra = [] if seed is None else [f"train.seed={seed}"]
    config = ExperimentConfig.load(recipe, [*(overrides or []), *extra], scale)
    away, asked = on_slurm(launcher, launch), LaunchConfig.read(recipes.launch(recipe, scale), launch or ())
    if away and dry:
        raise UserError("--dry-run: measures this machine, not the one that a job will have; leave out --launcher")
    if away:
        send(config, label, runs_folder(runs_dir), asked, (data_dir, track or ()), out, as_json=as_json)
        return
    with processes.joined() as parallel:
        if dry:
            dry_run(_assembled(config, data_dir, parallel, out), out, as_json=as_json)
        else:
            tracker = trackers(ConsoleTracker(out), track or ()) if parallel.main else ConsoleTracker(Console(quiet=True))
            _train(_assembled(config, data_dir, parallel, out), label, runs_folder(runs_dir), out, tracker, as_json=as_json)


def _assembled(config: "ExperimentConfig", data_dir: Path | None, parallel: "Parallel", out: Console) -> "Experiment":
    """The experiment; one process prepares the text, the others then find it in the cache."""
    from assay.core.devices import resolve
    from assay.experiment.assemble import assemble
    from assay.experiment.load import load_data

    resolve(config.train.device)
    if parallel.main:
        with _waiting(out, "preparing the text"):
            load_data(config, data_dir)
    parallel.barrier()
    return assemble(config, load_data(config, data_dir), parallel)


def _train(experiment: "Experiment", label: str, folder: Path, out: Console, tracker: "Tracker", *, as_json: bool) -> None:
    """Give the experiment a run directory, and see it through to its figures."""
    from assay.trainer.trainer import Fit, write_run
    from assay.training.eta import Clock
    from assay.views.ending import opening, report

    config, parallel = experiment.config, experiment.setup.parallel
    made = create(folder, label, config.digest(), config.train.seed).path if parallel.main else Path()
    run = RunDirectory(Path(parallel.first(str(made))))
    if parallel.main:
        write_run(run, config, experiment.prepared)
    tracker.begin(f"assay train {label}", opening(experiment, run))
    figures = Fit(run, experiment, tracker, Clock()).to_the_end()
    if parallel.main:
        report(out, run, figures, experiment.prepared, as_json=as_json)


def _waiting(out: Console, text: str) -> AbstractContextManager[object]:
    return out.status(text) if out.is_terminal else nullcontext()
