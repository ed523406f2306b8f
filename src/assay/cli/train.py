"""`assay train RECIPE`: from text to a scored model."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from assay.cli.dry_run import dry_run
from assay.cli.options import AsJson, DataDir, Overrides, RunsDir, console, print_json
from assay.cli.report import finished, opening
from assay.core import parallel as processes
from assay.core.devices import resolve
from assay.experiment import ExperimentConfig, assemble, load_data
from assay.fit import Fit, write_run
from assay.runs.store import Run, create, runs_folder
from assay.track.console import ConsoleTracker
from assay.train.eta import Clock


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `assay kinds recipe`) or a TOML file.")],
    overrides: Overrides = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Short for train.seed=N.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The run's name instead of the recipe's.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only tell steps, memory and time.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model as a recipe says, score it, and keep everything in a run directory."""
    out = console(as_json=as_json)
    extra = [] if seed is None else [f"train.seed={seed}"]
    config = ExperimentConfig.load(recipe, [*(overrides or []), *extra])
    parallel = processes.start()
    try:
        resolve(config.train.device)
        if parallel.main:
            with _waiting(out, "preparing the text"):
                prepared = load_data(config, data_dir)
        parallel.barrier()
        if not parallel.main:
            prepared = load_data(config, data_dir)
        experiment = assemble(config, prepared, parallel)
        if dry:
            if parallel.main:
                dry_run(experiment, out, as_json=as_json)
            return
        label = name or Path(recipe).stem
        folder = runs_folder(runs_dir)
        made = create(folder, label, config.digest(), config.train.seed).path if parallel.main else Path()
        run = Run(Path(parallel.first(str(made))))
        if parallel.main:
            write_run(run, config, prepared)
        tracker = ConsoleTracker(out if parallel.main else Console(quiet=True))
        tracker.begin(f"assay train {label}", opening(experiment, run))
        figures = Fit(run, experiment, tracker, Clock()).to_the_end()
        if parallel.main:
            if as_json:
                print_json({"run": str(run.path), **figures})
            else:
                finished(out, run, figures)
    finally:
        processes.finish()


def _waiting(out: Console, text: str) -> AbstractContextManager[object]:
    return out.status(text) if out.is_terminal else nullcontext()
