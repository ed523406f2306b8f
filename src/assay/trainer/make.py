"""A run made or gone on with, from what a person asks for to its directory: the same for a command and for a call from Python."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from assay.core import parallel as processes
from assay.core import recipe as recipes
from assay.core.seeds import keep_default_generators
from assay.errors import StopRequested
from assay.experiment.config import ExperimentConfig
from assay.experiment.describe import describe_start
from assay.runs.directory import runs_folder
from assay.terminal.console import console
from assay.tracking.base import Tracker
from assay.tracking.console import ConsoleTracker
from assay.tracking.several import trackers
from assay.trainer.callback import Event, as_hooks
from assay.trainer.overrides import Override, apply_override
from assay.trainer.resume import reopen
from assay.trainer.run import Run
from assay.trainer.start import prepare_experiment, start_run
from assay.trainer.trainer import Fit
from assay.training.hook import Hook

HookLike = Hook | Callable[[Event], object]


def make_config(recipe: str | Path, overrides: Sequence[Override], scale: str | None, fixed: Mapping[str, Any]) -> ExperimentConfig:
    """A recipe's config with overrides in their order, then with what is `fixed` and not None. Raises ConfigError."""
    tree = recipes.load(str(recipe), scale)
    for override in overrides:
        tree = apply_override(tree, override)
    for key, value in fixed.items():
        if value is not None:
            tree = recipes.place(tree, key, value)
    return ExperimentConfig.make(tree)


def train_run(
    config: ExperimentConfig, label: str, folder: Path | None, data_dir: Path | None, hooks: Sequence[HookLike], tracker: Tracker
) -> Run:
    """Train a new run to its end, or until a hook asks it to stop. With torchrun, every process calls this and gets the same run."""
    added = as_hooks(hooks)
    with processes.joined() as parallel:
        seen = tracker if parallel.main else quiet_tracker()
        experiment = prepare_experiment(config, data_dir, parallel, seen)
        return _finish(start_run(experiment, label, runs_folder(folder), seen, added), data_dir)


def resume_run(run: Run, overrides: Sequence[Override], hooks: Sequence[HookLike], tracker: Tracker) -> Run:
    """Go on with a run to its end, or until a hook asks it to stop. Raises RunError for a change that a run cannot take."""
    with processes.joined() as parallel:
        seen = tracker if parallel.main else quiet_tracker()
        fit = reopen(run.directory, overrides, run.data_dir, (parallel, seen), as_hooks(hooks))
        seen.begin(f"assay resume {run.name}, from step {fit.state.step}", describe_start(fit.experiment, run.directory))
        return _finish(fit, run.data_dir)


def _finish(fit: Fit, data_dir: Path | None) -> Run:
    try:
        with keep_default_generators(), torch.enable_grad():  # whoever calls finds torch as it was, and may have turned gradients off
            fit.to_the_end()
    except StopRequested as stopped:
        fit.tracker.note(str(stopped))
    return Run(fit.run.path, data_dir)


def quiet_tracker() -> Tracker:
    """A tracker that shows nothing."""
    return ConsoleTracker(Console(quiet=True))


def choose_tracker(given: Tracker | None, progress: bool | None, track: Sequence[str] = ()) -> Tracker:
    """The tracker that was given, else one that shows progress if asked to or if somebody watches; beside it mirrors by their names."""
    if given is None:
        shown = is_watched() if progress is None else progress
        given = ConsoleTracker(console()) if shown else quiet_tracker()
    return trackers(given, [track] if isinstance(track, str) else track)


def label_of(recipe: str | Path, scale: str | None, name: str | None) -> str:
    """How a run's name begins: as given, else the recipe's name and its scale."""
    return name or "-".join(filter(None, (Path(recipe).stem, scale)))


def is_watched() -> bool:
    """Whether somebody looks on: in a terminal, or in a notebook."""
    return sys.stdout.isatty() or "ipykernel" in sys.modules
